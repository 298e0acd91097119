"""Events in words."""

from __future__ import annotations

from collections.abc import Iterator

from sartor.machine import Waiting
from sartor.pipeline import OriginalScore
from sartor.runs._units import interval_words, percent
from sartor.search import Episode, Outlook


def original_words(found: OriginalScore) -> Iterator[str]:
    """How good the original is, and what looks wrong with it, one sentence each."""
    interval = found.interval
    if interval is None:
        by = "by your own measure"
        if found.images:
            by = f"{found.metric} on {found.images:,} validation images"
        yield f"original: {percent(found.accuracy)}, {by}"
    else:
        within = interval_words(interval)
        images = f"{interval.images:,} validation images"
        quality = percent(found.accuracy, 1)
        if found.chance is None:
            quality = f"{found.metric} {quality}"
        yield f"original: {quality} of {images} ({within})"
    for sentence in found.remarks:
        yield f"note: {sentence}"
    for sentence in found.warnings:
        yield f"warning: {sentence}"


def waiting_words(event: Waiting) -> str:
    """That a measurement takes long, and for how long at most."""
    seconds = f"{event.seconds:.0f} of at most {event.limit:.0f} s"
    return f"waiting for a quiet machine, {seconds} (--rough does not wait)"


def outlook_words(outlook: Outlook | None) -> str:
    """What further episodes promise."""
    if outlook is None:
        return ""
    gain = percent(outlook.gain, 1)
    return f", {outlook.episodes} more promise {gain} at most"


def best_words(best: Episode | None, original: float | None) -> str:
    """How good the best episode so far is, beside the ``original`` on the same images."""
    if best is None:
        return "none within the budget yet"

    outcome = best.outcome
    words = f"best {percent(outcome.accuracy)}"
    if original is not None:
        words += f" (original {percent(original)})"
    words += f", {outcome.cost.macs / 1e6:.2f} M MACs"
    if outcome.relative_latency is not None:
        words += f", latency {percent(outcome.relative_latency, 1)}"
    return words
