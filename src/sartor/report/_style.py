"""What all charts have in common. Imported only where altair is known to be installed."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

#: Okabe and Ito's colours, told apart by the colour-blind.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
#: Of the line of the best and of what was delivered.
ACCENT = COLOURS[5]
#: Of the original.
GREY = COLOURS[7]
_HEIGHT = 260


def sized(chart: Chart) -> Chart:
    """The chart, as wide as the page."""
    return chart.properties(width="container", height=_HEIGHT)


def accuracy_axis(metric: str) -> alt.Y:
    """The metric upwards, in percent, around what there is."""
    return alt.Y(
        "accuracy:Q",
        title=metric,
        scale=alt.Scale(zero=False),
        axis=alt.Axis(format=".1%"),
    )


def colours_by(field: str, title: str, names: Sequence[str]) -> alt.Color:
    """A colour for every name, the first again where there are more names than colours."""
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
    scale = alt.Scale(domain=list(names), range=colours)
    return alt.Color(f"{field}:N", title=title, scale=scale)
