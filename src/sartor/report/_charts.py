"""Charts of one run. Imported only where altair is known to be installed."""

from __future__ import annotations

from typing import Any

import altair as alt

from sartor.budget import Budget
from sartor.pipeline import Layers
from sartor.report._style import ACCENT, COLOURS, GREY, Chart, accuracy_axis, colours_by, sized
from sartor.runs import Run, relative_latency
from sartor.search import CostAxis, cost_axis, front

#: Area of the dot of an episode.
_DOT = 44
#: Area of the mark of a network that was scored at the end.
_MARK = 120
#: Up to so many layers have names at the axis.
_NAMED = 40


def history(run: Run) -> Chart:
    """Rewards of all episodes, and the best so far."""
    base = alt.Chart(alt.InlineData(run.rows()))
    whole_numbers = alt.Axis(tickMinStep=1)
    around_values = alt.Scale(zero=False)
    points = base.mark_circle(size=_DOT, opacity=0.7).encode(
        x=alt.X("episode:Q", title="episode", axis=whole_numbers),
        y=alt.Y("reward:Q", title="reward", scale=around_values),
        color=_sources(run),
        tooltip=[
            "episode:Q",
            "source:N",
            alt.Tooltip("reward:Q", format=".4f"),
            alt.Tooltip("accuracy:Q", title=run.metric, format=".2%"),
        ],
    )
    line = base.mark_line(interpolate="step-after", color=ACCENT)
    best = line.encode(x="episode:Q", y="best_reward:Q")
    return sized(alt.layer(points, best))


def plane(run: Run) -> Chart:
    """Accuracy against cost: what was scored, what was not beaten, what was delivered."""
    field = cost_axis(run.episodes)
    rows = run.rows()
    # Scoring that was stopped early knows an accuracy of a few images only.
    scored = [row for row in rows if row[field] is not None and not row["stopped"]]
    unbeaten = [rows[episode.number] for episode in front(run.episodes)]

    x = _cost_axis(field)
    y = accuracy_axis(run.metric)
    exact = ".4~f" if field == "relative_latency" else ".4~s"
    tips = [
        alt.Tooltip(f"{field}:Q", format=exact),
        alt.Tooltip("accuracy:Q", title=run.metric, format=".2%"),
        "source:N",
    ]

    dots = alt.Chart(alt.InlineData(scored))
    points = dots.mark_circle(size=_DOT)
    # What could not be delivered is hardly there.
    seen = alt.condition("datum.in_budget", alt.value(0.7), alt.value(0.15))
    # In steps: between two networks there is none of an accuracy between theirs.
    steps = alt.Chart(alt.InlineData(unbeaten))
    line = steps.mark_line(interpolate="step-after", color=ACCENT)
    layers = [
        points.encode(
            x=x,
            y=y,
            color=_sources(run),
            opacity=seen,
            tooltip=["episode:Q", "in_budget:N", *tips],
        ),
        line.encode(x=x, y=y),
    ]

    limit = _limit(run, field)
    if limit is not None:
        rule = alt.Chart(alt.InlineData([{"budget": limit}]))
        dashed = rule.mark_rule(strokeDash=[4, 4], color=GREY)
        layers.append(dashed.encode(x=alt.X("budget:Q", scale=alt.Scale(zero=False))))

    marks = _delivered(run, field)
    if marks:
        chart = alt.Chart(alt.InlineData(marks))
        shapes = chart.mark_point(size=_MARK, filled=True, color=ACCENT)
        shape = alt.Shape("source:N", title="delivered")
        layers.append(shapes.encode(x=x, y=y, shape=shape, tooltip=tips))
    return sized(alt.layer(*layers))


def by_layer(layers: Layers, field: str, title: str) -> Chart:
    """Bars of what is left of every layer in front of bars of what there was."""
    networks = {"original": layers.original, "best": layers.best}
    rows = []
    for network, entries in networks.items():
        for layer in entries:
            value = getattr(layer, field)
            rows.append({"layer": layer.name, "network": network, field: value})

    # More names than this would be printed over each other; the tooltip has them.
    names = [layer.name for layer in layers.original]
    named = len(names) <= _NAMED
    quantity = f"{field}:Q"
    layer_axis = alt.Axis(labels=named, ticks=False, labelAngle=-60)
    value_axis = alt.Axis(format="~s")
    scale = alt.Scale(domain=list(networks), range=[GREY, COLOURS[0]])
    exact = alt.Tooltip(quantity, format=",")

    # Not stacked: the bar of what is left stands in front of the bar of what there was.
    data = alt.InlineData(rows)
    bars = alt.Chart(data).mark_bar(opacity=0.85)
    chart = bars.encode(
        x=alt.X("layer:N", sort=names, title="layer", axis=layer_axis),
        y=alt.Y(quantity, title=title, stack=None, axis=value_axis),
        color=alt.Color("network:N", title=None, scale=scale),
        tooltip=["layer:N", "network:N", exact],
    )
    return sized(alt.layer(chart))


def _cost_axis(field: CostAxis) -> alt.X:
    title = "multiply-accumulates"
    if field == "relative_latency":
        title = "latency, relative to the original's"
    scale = alt.Scale(zero=False)
    axis = alt.Axis(format="~s")
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def _delivered(run: Run, field: CostAxis) -> list[dict[str, Any]]:
    """The original, what rules gave and what was found, as scored at the end."""
    if run.result is None:
        return []

    marks = []
    for name, entry in run.networks.items():
        cost: float | None = entry.macs
        if field == "relative_latency":
            cost = relative_latency(name, entry)
        if cost is not None:
            mark = {"source": name, field: cost, "accuracy": entry.validation}
            marks.append(mark)
    return marks


def _limit(run: Run, field: CostAxis) -> float | None:
    """The bound of the budget on what stands at the axis; None without one."""
    if field == "relative_latency":
        return run.ceiling
    if run.result is None:
        return None
    macs = run.result.original.macs
    share = Budget.parse(run.result.budget).ceiling("macs", macs)
    return None if share is None else share * macs


def _sources(run: Run) -> alt.Color:
    # In order of appearance, so that colours stay while a search goes on.
    sources = [episode.source for episode in run.episodes]
    names = list(dict.fromkeys(sources))
    return colours_by("source", "proposed by", names)
