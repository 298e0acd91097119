"""Several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.machine import require
from sartor.report._how import how_briefly
from sartor.report._page import Page, drawn, table
from sartor.runs import counted, verified_briefly

if TYPE_CHECKING:
    from sartor.runs import Run

_CAPTIONS = {
    "history": "Quality of the policy with the best reward so far, by episode.",
    "plane": (
        "Quality on all validation images against cost of everything delivered: "
        "the originals, the rules, what was found."
    ),
}


def compare(runs: Sequence[Run]) -> str:
    """The page of several runs.

    Raises `UsageError` for fewer than two runs, or two folders of the same name;
    `MissingPackageError` without altair, jinja2 and vl-convert.
    """
    names = [run.name for run in runs]
    _require_different(names)
    for run in runs:
        run.require_episodes()

    require("altair", extra="report")
    from sartor.report._comparison_charts import history, plane

    charts = {"history": history(runs)}
    finished = [run for run in runs if run.result is not None]
    if finished:
        charts["plane"] = plane(runs)

    networks = {}
    for run in runs:
        if run.result is not None:
            for name, entry in run.result.networks.items():
                networks[f"{run.name}: {name}"] = entry

    open_runs = sum(run.state != "finished" for run in runs)
    described = Page(
        title=f"sartor: {', '.join(names)}",
        payload={
            "state": f"{counted(len(runs), 'run')}, {open_runs} of them not finished",
            "table": table(networks),
            "figures": drawn(charts, _CAPTIONS),
        },
        delivered=_delivered(runs),
        faults=_faults(runs),
        how={run.name: how_briefly(run) for run in runs},
    )
    return described.render()


def _require_different(names: Sequence[str]) -> None:
    different = set(names)
    if len(names) < 2 or len(different) < len(names):
        given = ", ".join(names) or "none"
        raise UsageError(
            f"compare needs at least two runs whose folders differ in name, not {given}"
        )


def _delivered(runs: Sequence[Run]) -> list[str]:
    lines = []
    for run in runs:
        for verified in run.verified:
            sentence = verified_briefly(verified)
            lines.append(f"{run.name}: {sentence}")
    return lines


def _faults(runs: Sequence[Run]) -> list[str]:
    """What was missed by a search comes first, then what is wrong with exported files."""
    lines = []
    for run in runs:
        for sentence in run.missed:
            lines.append(f"{run.name}: {sentence}")
    for run in runs:
        for verified in run.verified:
            for fault in verified.faults:
                lines.append(f"{run.name}: {fault}")
    return lines
