"""Ω as a heat map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sartor.machine import write_atomically
from sartor.sensitivity._table import Sensitivity

#: Smallest Ω that is drawn: a logarithmic scale has no place for 0.
_FLOOR = 1e-5
#: Pixels per layer.
_ROW = 12


def heat_map(found: Sensitivity) -> Any:
    """An Altair chart: layers down, what is kept of channels and bits across.

    Raises `ImportError` without altair.
    """
    import altair as alt

    cells = _cells(found)
    # In the order of first appearance, which Altair would replace by the alphabet's.
    layers = list(dict.fromkeys(cell["layer"] for cell in cells))
    settings = list(dict.fromkeys(cell["setting"] for cell in cells))

    across = alt.X(
        "setting:N",
        sort=settings,
        title="channels kept; bits of weights, of activations",
    )
    down = alt.Y("layer:N", sort=layers, title=None)
    # Logarithmic, because Ω of the layers lies several orders of magnitude apart.
    scale = alt.Scale(type="log", scheme="viridis")
    color = alt.Color("omega:Q", scale=scale, title="Ω, nats")
    omega = alt.Tooltip("omega:Q", format=".3g")

    chart = alt.Chart(alt.InlineData(cells)).encode(
        x=across,
        y=down,
        color=color,
        tooltip=["layer:N", "setting:N", omega],
    )
    height = _ROW * len(layers)
    return chart.mark_rect().properties(height=height)


def draw(found: Sensitivity, folder: Path) -> Path | None:
    """The heat map as an SVG file; None where altair and vl-convert are not installed."""
    path = folder / "sensitivity.svg"
    try:
        chart = heat_map(found)
        # Altair looks for vl-convert only when a chart is saved.
        write_atomically(
            path,
            lambda temporary: chart.save(str(temporary), format="svg"),
        )
    except ImportError:
        return None
    return path


def _cells(found: Sensitivity) -> list[dict[str, Any]]:
    cells = []
    for parameter, rows in found.table.items():
        what, _, _ = parameter.partition("_")
        for name, row in rows.items():
            for value, omega in row.items():
                cell = {
                    "layer": name,
                    "setting": f"{what} {value:g}",
                    "omega": max(omega, _FLOOR),
                }
                cells.append(cell)
    return cells
