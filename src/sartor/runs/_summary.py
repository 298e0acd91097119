"""What reports say, in words: the same on the terminal, on the page and on the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sartor.pipeline import Entry, Reached, Repair, Report, Timed
from sartor.runs._units import counted, in_bytes, milliseconds, percent

if TYPE_CHECKING:
    from sartor.export import Verification
    from sartor.runs._accuracies import TestAccuracy, ValidationAccuracy
    from sartor.runs._finetune import FinetuneReport
    from sartor.runs._repair import RepairReport
    from sartor.runs._verify import VerifiedRun
    from sartor.targets import Design

#: Headings of `cells`; the last only where something was measured.
HEADINGS = ("validation", "test", "MACs", "parameters", "size", "latency")


def headings(batch: int = 1) -> tuple[str, ...]:
    """The headings, the last with how many images a latency is of."""
    *others, latency = HEADINGS
    return (*others, f"{latency}{at_once(batch)}")


def relative_latency(name: str, entry: Entry) -> float | None:
    """Of the original's, which is 1 by itself; None where nothing was measured."""
    if name == "original":
        return 1.0
    return None if entry.latency is None else entry.latency.relative


def cells(entry: Entry) -> list[str]:
    """The metric, MACs, parameters, bytes and latency of a network, with their ratios."""
    ratio = entry.ratio
    latency = "–"
    if entry.latency is not None:
        measured = milliseconds(entry.latency.candidate.median_s)
        latency = f"{measured} ({percent(entry.latency.relative, 1)})"
        if not entry.latency.candidate.measured:
            latency = f"estimated {latency}"

    # Powers of ten, as budgets read them: 1 KB is 1,000 bytes.
    macs = f"{entry.macs / 1e6:.2f} M"
    params = f"{entry.params / 1e3:.1f} K"
    size = f"{entry.size / 1e3:.1f} KB"
    return [
        percent(entry.validation),
        percent(entry.test),
        f"{macs} ({percent(ratio.macs, 1)})",
        f"{params} ({percent(ratio.params, 1)})",
        f"{size} ({percent(ratio.size, 1)})",
        latency,
    ]


def missed_words(report: Report) -> list[str]:
    """What of a search is not as it was asked for, one sentence each."""
    found = []
    if report.latencies_unsettled:
        found.append(
            f"the machine was too busy for {report.latencies_unsettled} of the measurements in "
            "the search; they are likely too slow"
        )
    timed = report.timed
    if timed is not None and timed.slower:
        found.append(
            f"what was found is SLOWER than the original: {_relative(timed)} in {timed.runtime}; a "
            "target and a bound on latency, such as latency<=0.7, find what is faster"
        )
    if not report.budget_met:
        why = "the reward weighs latency, it does not bound it"
        if report.budget_enforced:
            why = "no finalist was fast enough when measured"
        found.append(f"the budget {report.budget} was NOT met: {why}")
    return found


def delivered_words(report: Report) -> list[str]:
    """How what was found was repaired, and how fast it is: one sentence each, as far as known."""
    found = []
    if report.repair is not None:
        found.append(_repaired(report, report.repair))
    timed = report.timed
    if timed is not None:
        found.append(f"in {timed.runtime} it takes {_relative(timed)}")
    if report.design is not None:
        found.append(design_words(report.design))
    return found


def design_words(design: Design) -> str:
    """What a design takes and gives, in one sentence that says that it is estimated."""
    quantities = []
    for name, band in design.estimates.items():
        scale, unit = (1e3, "ms") if name == "latency" else (1.0, name)
        value, low, high = (_short(scale * part) for part in (band.value, band.low, band.high))
        share = ""
        if design.has.get(name):
            share = f", {percent(band.value / design.has[name], 0)} of the device"
        quantities.append(f"{value} {unit} ({low} to {high}{share})")
    slowest = design.slowest
    return (
        f"ESTIMATED on {design.part} at {design.clock_mhz:g} MHz, not measured: "
        f"{', '.join(quantities)}; the slowest engine is {slowest.name} with "
        f"{slowest.cycles:,} cycles"
    )


def _short(value: float) -> str:
    """Three digits of what is small, all of what is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _repaired(report: Report, repair: Repair) -> str:
    before = percent(repair.refitted.validation)
    after = percent(report.best.validation)
    return (
        f"repaired without labels in {repair.seconds:.0f} s, {percent(repair.share, 0)} of the "
        f"search: validation {report.metric} {before} before, {after} after; distance from the "
        f"original's answers to images held out {repair.before:.4f} before, "
        f"{repair.after:.4f} after"
    )


def at_once(batch: int) -> str:
    """How many images a latency is of, where that is more than one.

    >>> at_once(1), at_once(50)
    ('', ' of 50 images at once')
    """
    return f" of {batch:,} images at once" if batch > 1 else ""


def _relative(timed: Timed) -> str:
    interval = f"{timed.low:.2f} to {timed.high:.2f}"
    return f"{timed.relative:.2f} of the original's latency ({interval}){at_once(timed.batch)}"


def goal_words(reached: Reached, best: Entry, metric: str) -> str:
    """What came of a goal, and how sure that is."""
    within = ""
    if reached.change is not None:
        low, high = (100 * end for end in reached.change)
        within = f" (from the original's {low:+.2f} to {high:+.2f} points, at 95 %)"
    count = counted(len(reached.attempts), "network")
    return (
        f"{reached.goal} needs {metric} {percent(reached.floor)} on the validation images; the "
        f"smallest in {reached.quantity} of {count} that reaches it has "
        f"{percent(best.validation)}{within}"
    )


def repaired_words(report: RepairReport) -> str:
    """What came of a repair."""
    rounds = counted(len(report.rounds), "round")
    refused = ""
    if not report.kept:
        refused = " On the validation images that is worse: what was found is delivered as it was."
    return (
        f"Repaired without labels in {rounds}: {_accuracies(report)}; distance from the original's "
        f"answers to images held out {report.before:.4f} before, {report.after:.4f} after.{refused}"
    )


def tuned_words(report: FinetuneReport) -> str:
    """What came of a fine-tuning."""
    taught = ""
    if report.options.distill:
        taught = f", learning from {report.teacher}"
    epochs = counted(len(report.epochs), "epoch")
    kept = members_words(report.members)
    return f"Fine-tuned for {epochs}{taught}: {_accuracies(report)}; {kept}."


def _accuracies(report: RepairReport | FinetuneReport) -> str:
    """On the validation images, and on the test images where there are some."""
    validation = accuracy_words(report.validation)
    parts = [f"validation {report.metric} {validation}"]
    if report.test is not None:
        test = accuracy_words(report.test)
        parts.append(f"test {report.metric} {test}")
    return "; ".join(parts)


def accuracy_words(accuracy: ValidationAccuracy | TestAccuracy) -> str:
    """The metric by name: of the original if that was tested, before and after training."""
    words = []
    for name, value in vars(accuracy).items():
        words.append(f"{name} {percent(value)}")
    return ", ".join(words)


def verified_words(verified: VerifiedRun) -> str:
    """What was measured of an exported file, in one sentence."""
    found = verified.found
    threads = counted(found.threads, "thread")
    where = f"{found.runtime} on {found.device}, {threads}"

    accuracy = percent(found.accuracy)
    simulated = percent(found.simulated)
    parts = [
        f"{found.metric} {accuracy} on {found.images:,} test images (simulated {simulated})",
        *_latency_words(found),
        in_bytes(found.size_bytes),
        f"peak memory {in_bytes(found.peak_memory_bytes)}.",
    ]
    return f"{found.artifact} in {where}: {', '.join(parts)}"


def _latency_words(found: Verification) -> list[str]:
    """How long it takes, and beside the original; nothing where it was not timed."""
    latency = found.latency
    if latency is None:
        return []
    measured = milliseconds(latency.candidate.median_s)
    return [
        f"latency{at_once(found.batch)} {measured}",
        f"{latency.relative:.3f} of the original's ({latency.low:.3f} to {latency.high:.3f})",
    ]


def verified_briefly(verified: VerifiedRun) -> str:
    """The metric and the latency of an exported file."""
    found = verified.found
    accuracy = f"{found.metric} {percent(found.accuracy)}"
    parts = [f"{found.artifact} in {found.runtime}", accuracy]
    if found.latency is not None:
        parts.append(f"latency {found.latency.relative:.3f} of the original's")
    return ", ".join(parts)


def members_words(members: Sequence[int]) -> str:
    """Which epochs, from 1, a fine-tuned network is made of; 0 is the network before.

    >>> members_words([2])
    'kept is epoch 2'
    >>> members_words([0, 1, 3])
    'kept is the mean of the network before, epoch 1 and epoch 3'
    """
    names = []
    for member in members:
        name = "the network before"
        if member > 0:
            name = f"epoch {member}"
        names.append(name)

    if len(names) == 1:
        return f"kept is {names[0]}"
    but_last = ", ".join(names[:-1])
    return f"kept is the mean of {but_last} and {names[-1]}"
