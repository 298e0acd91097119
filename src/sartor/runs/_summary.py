"""What a report says of networks, in words: the same cells on the terminal, on the page and on the model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sartor.pipeline import Report

#: Headings of `cells`; the last only where something was measured.
HEADINGS = ("validation", "test", "MACs", "parameters", "size", "latency")


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "thread"), counted(1200, "image")
    ('1 thread', '1,200 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def entries(report: Report) -> dict[str, dict[str, Any]]:
    """The networks that ``result.json`` tells of, by name: the original, the rules, what was found."""
    return {"original": report["original"], **report["baselines"], "found": report["best"]}


def relative_latency(name: str, entry: dict[str, Any]) -> float | None:
    """Of the original's, which is 1 by itself; None where nothing was measured."""
    if name == "original":
        return 1.0
    latency = entry.get("latency")
    return latency["relative"] if latency else None


def cells(entry: dict[str, Any]) -> list[str]:
    """Accuracies, MACs, parameters, bytes and latency of a network, and how much that is of the original's."""
    ratio, latency = entry["ratio"], entry.get("latency")
    return [
        f"{100 * entry['validation']:.2f} %",
        "–" if entry["test"] is None else f"{100 * entry['test']:.2f} %",
        f"{entry['macs'] / 1e6:.2f} M ({100 * ratio['macs']:.1f} %)",
        f"{entry['params'] / 1e3:.1f} K ({100 * ratio['params']:.1f} %)",
        f"{entry['size'] / 1e3:.1f} KB ({100 * ratio['size']:.1f} %)",
        "–"
        if not latency
        else f"{1e3 * latency['candidate']['median_s']:.3f} ms ({100 * latency['relative']:.1f} %)",
    ]


def missed_words(report: Report) -> list[str]:
    """What of ``result.json`` is not as it was asked for, one sentence each."""
    found = []
    if unsettled := report["latencies_unsettled"]:
        found.append(
            f"the machine was too busy for {unsettled} of the measurements in the search; they are likely too slow"
        )
    if not report["budget_met"]:
        bounded = report.budget_enforced
        why = (
            "no finalist was fast enough when measured"
            if bounded
            else "the reward weighs latency, it does not bound it"
        )
        found.append(f"the budget {report['budget']} was NOT met: {why}")
    return found


def tuned_words(report: dict[str, Any]) -> str:
    """What ``finetune.json`` tells of a fine-tuning."""
    parts = [
        f"{part} "
        + ", ".join(f"{name} {100 * value:.2f} %" for name, value in report[part].items())
        for part in ("validation", "test")
        if report[part]
    ]
    count, teacher = len(report["epochs"]), report["teacher"]
    taught = f", learning from {teacher}" if report["options"]["distill"] else ""
    which = f"; {members_words(report['members'])}"
    return f"Fine-tuned for {count} epoch{'s' * (count != 1)}{taught}: {'; '.join(parts)}{which}."


def members_words(members: Sequence[int]) -> str:
    """Which epochs, from 1, a fine-tuned network is made of; 0 is the network that the training began with."""
    names = ["the network before" if member == 0 else f"epoch {member}" for member in members]
    return (
        f"kept is {names[0]}"
        if len(names) == 1
        else f"kept is the mean of {', '.join(names[:-1])} and {names[-1]}"
    )
