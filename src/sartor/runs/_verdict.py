"""What came of a run, in one sentence and a few numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sartor.pipeline import Entry, Report
from sartor.runs._units import counted, interval_words, percent
from sartor.scoring import Interval, accuracy_interval
from sartor.targets import is_slower

if TYPE_CHECKING:
    from sartor.runs._finetune import FinetuneReport
    from sartor.runs._repair import RepairReport
    from sartor.runs._verify import VerifiedRun

#: Costs in the order in which a verdict looks for the one that was bounded.
_COSTS = {"macs": "MACs", "params": "parameters", "size": "bytes", "bops": "bit operations"}


@dataclass(frozen=True)
class Figure:
    """A number of a verdict.

    Attributes:
        name: What it is.
        value: The number, with its unit.
        detail: Its interval, or what it is of.
    """

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of a run.

    Attributes:
        sentence: All of it, in short.
        figures: Accuracy kept, cost, latency, verified, faults.
    """

    sentence: str
    figures: tuple[Figure, ...]


def verdict(
    report: Report,
    networks: Mapping[str, Entry],
    verified: tuple[VerifiedRun, ...],
    faults: list[str],
) -> Verdict:
    """What came of a run: of its ``report``, its ``networks``, verifications, and its faults.

    Of the networks the last is delivered.
    """
    accuracy = _accuracy(report, networks)
    cost = _cost(report)
    parts = [f"{cost.value} of the {cost.name} left, {accuracy.value}"]
    figures = [accuracy, cost]

    latency = _latency(report, verified)
    if latency is not None:
        parts.append(f"{latency.value} of its latency ({latency.detail})")
        figures.append(latency)

    where = ", ".join(item.found.runtime for item in verified if not item.faults)
    parts.append(f"verified in {where}" if where else "not verified yet")
    figures.append(Figure("verified", where or "no", "" if where else "sartor export, verify"))

    if faults:
        parts.append(f"{counted(len(faults), 'fault')}: {faults[0]}")
    figures.append(Figure("faults", str(len(faults))))
    return Verdict("; ".join(parts), tuple(figures))


def with_trained(
    report: Report, repaired: RepairReport | None, tuned: FinetuneReport | None
) -> dict[str, Entry]:
    """All networks by name; what was repaired and fine-tuned since stands last."""
    networks = report.networks
    if repaired is not None:
        networks["repaired"] = _trained(report.best, repaired)
    if tuned is not None:
        networks["fine-tuned"] = _trained(report.best, tuned)
    return networks


def _trained(found: Entry, trained: RepairReport | FinetuneReport) -> Entry:
    """What was found, with other weights."""
    validation = trained.validation.after
    test = None if trained.test is None else trained.test.after
    return replace(
        found,
        validation=validation,
        test=test,
        validation_interval=_again(validation, found.validation_interval),
        test_interval=None if test is None else _again(test, found.test_interval),
        change=None,
    )


def _accuracy(report: Report, networks: Mapping[str, Entry]) -> Figure:
    """By how much the metric has changed, on test images if there are some."""
    *_, entry = networks.values()
    original = report.original
    is_tested = entry.test is not None and original.test is not None
    kind = "test" if is_tested else "validation"
    after = getattr(entry, kind)
    before = getattr(original, kind)
    interval: Interval | None = getattr(entry, f"{kind}_interval")

    value = f"{_points(after - before)} points of {kind} {report.metric}"
    if entry.change is not None:
        low, high = entry.change.low, entry.change.high
        value += f" ({_points(low)} to {_points(high)})"
    detail = f"{percent(after)} instead of {percent(before)}"
    if interval is not None:
        detail += f"; {interval_words(interval)} % by {counted(interval.images, 'image')}"
    return Figure(report.metric, value, detail)


def _cost(report: Report) -> Figure:
    """What is left of the cost that was bounded; of MACs if none was."""
    bounded = [name for name in _COSTS if name in report.budget]
    name = bounded[0] if bounded else "macs"
    share = getattr(report.best.ratio, name)
    budget = f"budget {report.budget}" if report.budget else "no budget"
    return Figure(_COSTS[name], percent(share, 1), budget)


def _latency(report: Report, verified: tuple[VerifiedRun, ...]) -> Figure | None:
    """What was measured last: of the exported file, else when the search had ended."""
    timed_files = [item.found for item in verified if item.found.latency is not None]
    if timed_files:
        found = timed_files[-1]
        measured = found.latency
        assert measured is not None
        where = f"measured in {found.runtime}"
        return _of(measured.relative, measured.low, measured.high, where)
    if report.timed is not None:
        timed = report.timed
        return _of(timed.relative, timed.low, timed.high, f"in {timed.runtime}")
    if report.best.latency is None or report.target is None:
        return None
    best = report.best.latency
    return _of(best.relative, best.low, best.high, f"in {report.target.runtime}")


def _of(relative: float, low: float, high: float, where: str) -> Figure:
    slower = "SLOWER, " if is_slower(low) else ""
    return Figure("latency", percent(relative, 1), f"{slower}{low:.2f} to {high:.2f} {where}")


def _again(accuracy: float, like: Interval | None) -> Interval | None:
    """The interval of another accuracy on as many images."""
    return None if like is None else accuracy_interval(accuracy, like.images)


def _points(change: float) -> str:
    """A change of accuracy in points, with its sign."""
    return f"{100 * change:+.1f}"


def verdict_lines(found: Verdict) -> Iterator[str]:
    """A verdict for the terminal: the sentence, then one line a number."""
    yield found.sentence
    for figure in found.figures:
        detail = f"  ({figure.detail})" if figure.detail else ""
        yield f"  {figure.name}: {figure.value}{detail}"
