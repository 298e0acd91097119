"""What came of a run, in one sentence and a few numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sartor.pipeline import Entry, Report
from sartor.runs._units import counted, interval_words, percent
from sartor.scoring import Interval, accuracy_interval
from sartor.targets import is_slower

if TYPE_CHECKING:
    from sartor.runs._finetune import FinetuneReport
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
    tuned: FinetuneReport | None,
    verified: tuple[VerifiedRun, ...],
    faults: list[str],
) -> Verdict:
    """What came of a run: of its ``report``, a fine-tuning, verifications, and its faults."""
    accuracy = _accuracy(report, tuned)
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


def with_tuned(report: Report, tuned: FinetuneReport | None) -> dict[str, Entry]:
    """All networks by name; what was fine-tuned stands last."""
    networks = report.networks
    if tuned is None:
        return networks

    best = report.best
    test = None if tuned.test is None else tuned.test.after
    networks["fine-tuned"] = replace(
        best,
        validation=tuned.validation.after,
        test=test,
        validation_interval=_again(tuned.validation.after, best.validation_interval),
        test_interval=None if test is None else _again(test, best.test_interval),
        change=None,
    )
    return networks


def _accuracy(report: Report, tuned: FinetuneReport | None) -> Figure:
    """By how much the metric has changed, on test images if there are some."""
    entry = list(with_tuned(report, tuned).values())[-1]
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
    if verified:
        found = verified[-1].found
        measured = found.latency
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
