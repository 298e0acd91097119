"""Ω as a heat map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sartor.machine import write_atomically
from sartor.sensitivity._table import Sensitivity

#: Smallest Ω that is drawn.
_FLOOR = 1e-5
#: Pixels per layer.
_ROW = 12


def heat_map(found: Sensitivity) -> Any:
    """An Altair chart: layers down, what is kept of channels and bits across. Raises `ImportError` without altair."""
    import altair as alt

    rows: list[dict[str, Any]] = [
        {
            "layer": name,
            "setting": f"{parameter.partition('_')[0]} {value:g}",
            "omega": max(omega, _FLOOR),
        }
        for parameter, table in found.table.items()
        for name, row in table.items()
        for value, omega in row.items()
    ]
    layers, settings = (
        list(dict.fromkeys(str(row[key]) for row in rows)) for key in ("layer", "setting")
    )
    chart = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("setting:N", sort=settings, title="channels kept; bits of weights, of activations"),
        y=alt.Y("layer:N", sort=layers, title=None),
        color=alt.Color("omega:Q", scale=alt.Scale(type="log", scheme="viridis"), title="Ω, nats"),
        tooltip=["layer:N", "setting:N", alt.Tooltip("omega:Q", format=".3g")],
    )
    return chart.mark_rect().properties(height=_ROW * len(layers))


def draw(found: Sensitivity, folder: Path) -> Path | None:
    """The heat map as an SVG file; None where altair and vl-convert are not installed."""
    path = folder / "sensitivity.svg"
    try:
        chart = heat_map(found)
        write_atomically(path, lambda temporary: chart.save(str(temporary), format="svg"))
    except ImportError:
        return None
    return path
