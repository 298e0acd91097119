"""Charts of several runs. Imported only where altair is known to be installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from sartor.report._style import Chart, accuracy_axis, colours_by, sized
from sartor.runs import Run, relative_latency

#: Area of the mark of a network.
_MARK = 110


def history(runs: Sequence[Run]) -> Chart:
    """Accuracy of the episode with the best reward so far."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        best = None
        for episode in run.episodes:
            if best is None or episode.reward > best.reward:
                best = episode
            row = {
                "run": run.name,
                "episode": episode.number,
                "accuracy": best.outcome.accuracy,
            }
            rows.append(row)

    # Rewards of different runs need not be of one kind; accuracies are.
    line = alt.Chart(alt.InlineData(rows)).mark_line(interpolate="step-after")
    chart = line.encode(
        x=alt.X("episode:Q", title="episode"),
        y=accuracy_axis(_metric(runs)),
        color=_by_run(runs),
    )
    return sized(alt.layer(chart))


def plane(runs: Sequence[Run]) -> Chart:
    """Accuracy against latency where all finished runs measured it, else against MACs."""
    results = {run.name: run.result for run in runs if run.result is not None}
    timed = all(result.best.latency for result in results.values())
    rows: list[dict[str, Any]] = []
    for run, result in results.items():
        for name, entry in result.networks.items():
            cost = relative_latency(name, entry) if timed else entry.ratio.macs
            if cost is None:
                continue
            row = {
                "run": run,
                "network": name,
                "cost": cost,
                "accuracy": entry.validation,
            }
            rows.append(row)

    quantity = "latency" if timed else "multiply-accumulates"
    title = f"{quantity}, relative to the original's"
    points = alt.Chart(alt.InlineData(rows)).mark_point(size=_MARK, filled=True)
    chart = points.encode(
        x=alt.X("cost:Q", title=title, axis=alt.Axis(format=".0%")),
        y=accuracy_axis(_metric(runs)),
        color=_by_run(runs),
        shape=alt.Shape("network:N", title="network"),
        tooltip=[
            "run:N",
            "network:N",
            alt.Tooltip("cost:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", title=_metric(runs), format=".2%"),
        ],
    )
    return sized(alt.layer(chart))


def _metric(runs: Sequence[Run]) -> str:
    """What is measured, or all of it where runs have different tasks."""
    metrics = dict.fromkeys(run.metric for run in runs)
    return " or ".join(metrics)


def _by_run(runs: Sequence[Run]) -> alt.Color:
    names = [run.name for run in runs]
    return colours_by("run", "run", names)
