"""Everything a report consists of, as files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sartor.machine import write_atomically, write_text
from sartor.report._card import card
from sartor.report._figures import figures
from sartor.report._page import page

if TYPE_CHECKING:
    from sartor.report._style import Chart
    from sartor.runs import Run

#: Width of figures in files, in pixels; on the page they are as wide as it.
_WIDTH = 720
_Format = Literal["svg", "png"]


def write(run: Run, folder: Path) -> Path:
    """Write ``report.html``, ``episodes.csv``, ``MODEL_CARD.md`` and all figures; return the page.

    Figures are SVG and PNG files in ``figures``.

    Raises `RunError` for a run without episodes, `MissingPackageError` without altair, jinja2 and
    vl-convert.
    """
    path = folder / "report.html"
    write_text(path, page(run))

    table = _episodes(run)
    write_text(folder / "episodes.csv", table)

    described = card(run)
    write_text(folder / "MODEL_CARD.md", described)

    charts = figures(run)
    for name, chart in charts.items():
        for form in get_args(_Format):
            figure = folder / "figures" / f"{name}.{form}"
            _write_chart(chart, figure, form)
    return path


def _episodes(run: Run) -> str:
    rows = run.rows()
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_chart(chart: Chart, path: Path, form: _Format) -> None:
    # On the page a chart is as wide as its container; a file has none.
    fixed = chart.properties(width=_WIDTH)
    write_atomically(path, lambda temporary: fixed.save(str(temporary), format=form))
