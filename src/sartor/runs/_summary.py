"""What reports say, in words: the same on the terminal, on the page and on the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sartor.pipeline import Entry, Report

if TYPE_CHECKING:
    from sartor.runs._finetune import FinetuneReport, TestAccuracy, ValidationAccuracy

#: Headings of `cells`; the last only where something was measured.
HEADINGS = ("validation", "test", "MACs", "parameters", "size", "latency")


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "thread"), counted(1200, "image")
    ('1 thread', '1,200 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def relative_latency(name: str, entry: Entry) -> float | None:
    """Of the original's, which is 1 by itself; None where nothing was measured."""
    if name == "original":
        return 1.0
    return None if entry.latency is None else entry.latency.relative


def cells(entry: Entry) -> list[str]:
    """Accuracies, MACs, parameters, bytes and latency of a network, with their ratios."""
    ratio = entry.ratio
    test = "–"
    if entry.test is not None:
        test = f"{100 * entry.test:.2f} %"
    latency = "–"
    if entry.latency is not None:
        milliseconds = 1e3 * entry.latency.candidate.median_s
        latency = f"{milliseconds:.3f} ms ({100 * entry.latency.relative:.1f} %)"
    return [
        f"{100 * entry.validation:.2f} %",
        test,
        f"{entry.macs / 1e6:.2f} M ({100 * ratio.macs:.1f} %)",
        f"{entry.params / 1e3:.1f} K ({100 * ratio.params:.1f} %)",
        f"{entry.size / 1e3:.1f} KB ({100 * ratio.size:.1f} %)",
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
    if not report.budget_met:
        why = "the reward weighs latency, it does not bound it"
        if report.budget_enforced:
            why = "no finalist was fast enough when measured"
        found.append(f"the budget {report.budget} was NOT met: {why}")
    return found


def tuned_words(report: FinetuneReport) -> str:
    """What came of a fine-tuning."""
    parts = [f"validation {accuracy_words(report.validation)}"]
    if report.test is not None:
        parts.append(f"test {accuracy_words(report.test)}")
    taught = f", learning from {report.teacher}" if report.options.distill else ""
    epochs = counted(len(report.epochs), "epoch")
    kept = members_words(report.members)
    return f"Fine-tuned for {epochs}{taught}: {'; '.join(parts)}; {kept}."


def accuracy_words(accuracy: ValidationAccuracy | TestAccuracy) -> str:
    """Accuracies by name: of the original if that was tested, before and after fine-tuning."""
    return ", ".join(f"{name} {100 * value:.2f} %" for name, value in vars(accuracy).items())


def members_words(members: Sequence[int]) -> str:
    """Which epochs, from 1, a fine-tuned network is made of; 0 is the network before.

    >>> members_words([2])
    'kept is epoch 2'
    >>> members_words([0, 1, 3])
    'kept is the mean of the network before, epoch 1 and epoch 3'
    """
    names = ["the network before" if member == 0 else f"epoch {member}" for member in members]
    if len(names) == 1:
        return f"kept is {names[0]}"
    return f"kept is the mean of {', '.join(names[:-1])} and {names[-1]}"
