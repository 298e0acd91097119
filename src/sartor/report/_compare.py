"""Several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sartor.errors import UsageError
from sartor.machine import require
from sartor.report._figures import COLOURS, sized
from sartor.report._page import render, table
from sartor.runs import Run, VerifiedRun, relative_latency

if TYPE_CHECKING:
    from sartor.report._figures import Figure

_CAPTIONS = {
    "history": "Accuracy of the policy with the best reward so far, by episode.",
    "plane": "Accuracy on all validation images against cost of everything delivered: the originals, the rules, what was found.",
}


def compare(runs: Sequence[Run]) -> str:
    """The page. Raises `UsageError` for fewer than two runs, or two folders of the same name."""
    names = [facts.name for facts in runs]
    if len(set(names)) < max(2, len(names)):
        raise UsageError(
            f"compare needs at least two runs whose folders differ in name, not {', '.join(names) or 'none'}"
        )
    require("altair", extra="report")
    charts = {"history": _history(runs)}
    if any(facts.result for facts in runs):
        charts["plane"] = _plane(runs)
    networks = {
        f"{facts.name}: {name}": entry
        for facts in runs
        if facts.result
        for name, entry in facts.result.networks.items()
    }
    content = {
        "state": f"{len(runs)} runs, {sum(facts.state != 'finished' for facts in runs)} of them not finished",
        "table": str(table(networks)),
        "figures": {
            name: {"caption": _CAPTIONS[name], "spec": chart.to_dict()}
            for name, chart in charts.items()
        },
    }
    verified = [(facts.name, found) for facts in runs for found in facts.verified]
    return render(
        f"sartor: {', '.join(names)}",
        content,
        delivered=[
            f"{name}: {found.found.artifact} in {found.found.runtime}, {_accuracy(found)}"
            for name, found in verified
        ],
        faults=[
            *(f"{facts.name}: {sentence}" for facts in runs for sentence in facts.missed),
            *(f"{name}: {fault}" for name, found in verified for fault in found.faults),
        ],
        how={facts.name: _how(facts) for facts in runs},
    )


def _history(runs: Sequence[Run]) -> Figure:
    import altair as alt

    rows: list[dict[str, Any]] = []
    for facts in runs:
        best = None
        for episode in facts.episodes:
            best = episode if best is None or episode.reward > best.reward else best
            rows.append(
                {"run": facts.name, "episode": episode.number, "accuracy": best.outcome.accuracy}
            )
    chart = alt.Chart(alt.InlineData(rows)).mark_line(interpolate="step-after")
    y = alt.Y(
        "accuracy:Q", title="accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".1%")
    )
    return sized(
        alt.layer(chart.encode(x=alt.X("episode:Q", title="episode"), y=y, color=_by_run(runs)))
    )


def _plane(runs: Sequence[Run]) -> Figure:
    """By latency where all finished runs measured it, else by MACs."""
    import altair as alt

    finished = [(facts.name, facts.result) for facts in runs if facts.result]
    timed = all(result.best.latency for _, result in finished)
    rows: list[dict[str, Any]] = []
    for run, result in finished:
        for name, entry in result.networks.items():
            cost = relative_latency(name, entry) if timed else entry.ratio.macs
            if cost is not None:
                rows.append(
                    {
                        "run": run,
                        "network": name,
                        "cost": cost,
                        "accuracy": entry.validation,
                    }
                )
    title = (
        "latency, relative to the original's"
        if timed
        else "multiply-accumulates, relative to the original's"
    )
    chart = alt.Chart(alt.InlineData(rows)).mark_point(size=110, filled=True)
    return sized(
        alt.layer(
            chart.encode(
                x=alt.X("cost:Q", title=title, axis=alt.Axis(format=".0%")),
                y=alt.Y(
                    "accuracy:Q",
                    title="accuracy",
                    scale=alt.Scale(zero=False),
                    axis=alt.Axis(format=".1%"),
                ),
                color=_by_run(runs),
                shape=alt.Shape("network:N", title="network"),
                tooltip=[
                    "run:N",
                    "network:N",
                    alt.Tooltip("cost:Q", format=".1%"),
                    alt.Tooltip("accuracy:Q", format=".2%"),
                ],
            )
        )
    )


def _by_run(runs: Sequence[Run]) -> Any:
    import altair as alt

    names = [facts.name for facts in runs]
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
    return alt.Color("run:N", title="run", scale=alt.Scale(domain=names, range=colours))


def _accuracy(verified: VerifiedRun) -> str:
    found = verified.found
    return f"accuracy {100 * found.accuracy:.2f} %, latency {found.latency.relative:.3f} of the original's"


def _how(facts: Run) -> str:
    config, options = facts.config, facts.config.options
    return (
        f"{config.model}, {config.budget or 'no budget'}, {options.agent} for {options.episodes} episodes, "
        f"{', '.join(options.methods)}, seed {options.seed}, target {options.target or 'none'}"
    )
