"""Everything a report consists of, as files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sartor.machine import write_atomically, write_text
from sartor.report._card import card
from sartor.report._figures import figures
from sartor.report._page import page
from sartor.runs import Run

#: Width of figures in files, in pixels; on the page they are as wide as it.
_WIDTH = 720


def write(facts: Run, folder: Path) -> Path:
    """``report.html``, ``episodes.csv``, ``MODEL_CARD.md`` and every figure as SVG and PNG; returns the page."""
    path = folder / "report.html"
    write_text(path, page(facts))
    rows, table = facts.rows(), io.StringIO()
    writer = csv.DictWriter(table, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "episodes.csv", table.getvalue())
    write_text(folder / "MODEL_CARD.md", card(facts))
    for name, chart in figures(facts).items():
        for form in ("svg", "png"):
            fixed = chart.properties(width=_WIDTH)
            write_atomically(
                folder / "figures" / f"{name}.{form}",
                lambda temporary, fixed=fixed, form=form: fixed.save(str(temporary), format=form),  # type: ignore[misc]
            )
    return path
