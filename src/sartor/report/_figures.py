"""The figures, as Vega-Lite charts: they become parts of the page, or SVG and PNG files, without a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sartor.machine import require
from sartor.pipeline import Report
from sartor.runs import Run, relative_latency
from sartor.search import cost_axis, front
from sartor.sensitivity import heat_map

if TYPE_CHECKING:
    import altair as alt

    Figure = alt.Chart | alt.LayerChart | alt.FacetChart

#: Okabe and Ito's colours, told apart by the colour-blind.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_HEIGHT = 260
#: Area of the dot of an episode.
_DOT = 44
#: Layers up to here get a name at the axis.
_NAMED = 40


def figures(facts: Run) -> Mapping[str, Figure]:
    """Charts by name, those for which there is something to draw."""
    require("altair", extra="report")
    charts: dict[str, Figure] = {"history": _history(facts), "plane": _plane(facts)}
    if facts.result:
        charts["channels"] = _by_layer(facts.result, "out_channels", "output channels")
        charts["macs"] = _by_layer(facts.result, "macs", "multiply-accumulates")
        if any(layer.seconds for layer in facts.result.layers.best):
            charts["latency"] = _by_layer(facts.result, "seconds", "seconds")
        if any(layer.weight_bits < 32 for layer in facts.result.layers.best):
            charts["bits"] = _by_layer(facts.result, "weight_bits", "bits of the weights")
    if facts.sensitivity is not None:
        charts["sensitivity"] = heat_map(facts.sensitivity).properties(width="container")
    return charts


def _history(facts: Run) -> Figure:
    import altair as alt

    base = alt.Chart(alt.InlineData(facts.rows()))
    points = base.mark_circle(size=_DOT, opacity=0.7).encode(
        x=alt.X("episode:Q", title="episode", axis=alt.Axis(tickMinStep=1)),
        y=alt.Y("reward:Q", title="reward", scale=alt.Scale(zero=False)),
        color=_sources(facts),
        tooltip=[
            "episode:Q",
            "source:N",
            alt.Tooltip("reward:Q", format=".4f"),
            alt.Tooltip("accuracy:Q", format=".2%"),
        ],
    )
    line = base.mark_line(interpolate="step-after", color=COLOURS[5]).encode(
        x="episode:Q", y="best_reward:Q"
    )
    return sized(alt.layer(points, line))


def _plane(facts: Run) -> Figure:
    """Accuracy against cost: what was scored, what could not be beaten, the rules and the original."""
    import altair as alt

    field = cost_axis(facts.episodes)
    title = (
        "latency, relative to the original's"
        if field == "relative_latency"
        else "multiply-accumulates"
    )
    every = facts.rows()
    rows = [row for row in every if row[field] is not None and not row["stopped"]]
    unbeaten = [every[episode.number] for episode in front(facts.episodes)]
    x = alt.X(f"{field}:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format="~s"))
    y = alt.Y(
        "accuracy:Q", title="accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".1%")
    )
    number = ".4~f" if field == "relative_latency" else ".4~s"
    tips = [
        "episode:Q",
        alt.Tooltip(f"{field}:Q", format=number),
        alt.Tooltip("accuracy:Q", format=".2%"),
        "source:N",
    ]
    scored = (
        alt.Chart(alt.InlineData(rows))
        .mark_circle(size=_DOT, opacity=0.6)
        .encode(x=x, y=y, color=_sources(facts), tooltip=tips)
    )
    line = (
        alt.Chart(alt.InlineData(unbeaten))
        .mark_line(interpolate="step-after", color=COLOURS[5])
        .encode(x=x, y=y)
    )
    if not (marks := _marks(facts, field)):
        return sized(alt.layer(scored, line))
    marked = alt.Chart(alt.InlineData(marks)).encode(x=x, y=y)
    shapes = marked.mark_point(size=120, filled=True, color=COLOURS[5]).encode(
        shape=alt.Shape("source:N", title="delivered"), tooltip=tips[1:]
    )
    return sized(alt.layer(scored, line, shapes))


def _marks(facts: Run, field: str) -> list[dict[str, Any]]:
    """Original, rules and what was found, as scored at the end."""
    if not facts.result:
        return []
    marks = []
    for name, entry in facts.result.networks.items():
        cost = (
            relative_latency(name, entry) if field == "relative_latency" else getattr(entry, field)
        )
        if cost is not None:
            marks.append({"source": name, field: cost, "accuracy": entry.validation})
    return marks


def _by_layer(result: Report, field: str, title: str) -> Figure:
    """Bars of what is left in front of bars of what there was."""
    import altair as alt

    layers = result["layers"]
    order = [layer["name"] for layer in layers["original"]]
    rows = [
        {"layer": layer["name"], "network": name, field: layer[field]}
        for name in ("original", "best")
        for layer in layers[name]
    ]
    named = alt.Axis(labels=len(order) <= _NAMED, ticks=False, labelAngle=-60)
    chart = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("layer:N", sort=order, title="layer", axis=named),
        y=alt.Y(f"{field}:Q", title=title, stack=None, axis=alt.Axis(format="~s")),
        color=alt.Color(
            "network:N",
            title=None,
            scale=alt.Scale(domain=["original", "best"], range=[COLOURS[7], COLOURS[0]]),
        ),
        tooltip=["layer:N", "network:N", alt.Tooltip(f"{field}:Q", format=",")],
    )
    return sized(alt.layer(chart.mark_bar(opacity=0.85)))


def _sources(facts: Run) -> alt.Color:
    import altair as alt

    names = list(dict.fromkeys(episode.source for episode in facts.episodes))
    return alt.Color(
        "source:N",
        title="proposed by",
        scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])),
    )


def sized(chart: Figure) -> Figure:
    """As wide as the page."""
    return chart.properties(width="container", height=_HEIGHT)
