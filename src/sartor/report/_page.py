"""One self-contained HTML page: works offline, holds its own drawing code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from sartor.machine import require
from sartor.report._engines import HEADINGS, engine_rows
from sartor.report._figures import CAPTIONS, figures
from sartor.report._how import how
from sartor.runs import (
    cells,
    delivered_words,
    headings,
    percent,
    repaired_words,
    tuned_words,
    verified_words,
)

if TYPE_CHECKING:
    from sartor.pipeline import Entry
    from sartor.report._style import Chart
    from sartor.runs import Run, Verdict

_PAGE = "page.html.j2"
_TABLE = "table.html.j2"


@dataclass(frozen=True)
class Page:
    """What a page says.

    Attributes:
        title: Its first heading.
        payload: What changes while a search runs: a line of state, a table and figures.
        delivered: What was trained, exported and verified, one sentence each.
        faults: What is not as promised, one sentence each.
        how: How it was made, by what is said of it.
        verdict: What came of it, in a sentence and a few numbers; None while the search goes on.
        engines: HTML of the table of engines; empty where the target makes no designs.
        live: Whether the page asks for a new payload every few seconds.
    """

    title: str
    payload: Mapping[str, Any]
    delivered: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    how: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None
    engines: str = ""
    live: bool = False

    def render(self) -> str:
        """The HTML. Raises `MissingPackageError` without jinja2 and vl-convert."""
        vl_convert = require("vl_convert", extra="report")
        # Neither text nor code may end the element of the page that it stands in.
        payload_json = json.dumps(self.payload).replace("<", "\\u003c")
        bundle = vl_convert.javascript_bundle().replace("</script", "<\\/script")
        return _fill(
            _PAGE,
            title=self.title,
            payload=self.payload,
            payload_json=payload_json,
            bundle=bundle,
            delivered=self.delivered,
            faults=self.faults,
            how=self.how,
            verdict=self.verdict,
            engines=self.engines,
            live=self.live,
        )


def page(run: Run, *, live: bool = False) -> str:
    """The page of a run. Raises `MissingPackageError` without altair, jinja2 and vl-convert."""
    delivered = [] if run.result is None else delivered_words(run.result)
    delivered += [verified_words(verified) for verified in run.verified]
    if run.repaired is not None:
        delivered.append(repaired_words(run.repaired))
    if run.finetuned is not None:
        delivered.append(tuned_words(run.finetuned))

    budget = run.config.budget or "no budget"
    described = Page(
        title=f"sartor: {run.config.model}, {budget} ({run.name})",
        payload=payload(run),
        delivered=delivered,
        faults=run.faults,
        how=how(run),
        verdict=run.verdict,
        engines=_engines(run),
        live=live,
    )
    return described.render()


def payload(run: Run) -> dict[str, Any]:
    """What changes while a search runs: one line of state, the table, the figures."""
    episodes = run.require_episodes()
    best = run.best_episode
    words = "none within the budget yet"
    if best is not None:
        words = f"best {percent(best.outcome.accuracy)} of the reward images"
    options = run.config.options
    most = "at most " if options.episodes == "auto" else ""
    done = f"{len(episodes)} of {most}{options.most_episodes} episodes"

    batch = run.config.options.target_batch
    return {
        "state": f"{run.state}: {done}, {words}",
        "table": table(run.networks, batch),
        "figures": drawn(figures(run), CAPTIONS),
    }


def drawn(charts: Mapping[str, Chart], captions: Mapping[str, str]) -> dict[str, Any]:
    """Charts as the page draws them, each with its caption."""
    found = {}
    for name, chart in charts.items():
        found[name] = {"caption": captions[name], "spec": chart.to_dict()}
    return found


def table(networks: Mapping[str, Entry], batch: int = 1) -> str:
    """The networks of reports by name, one row each; a sentence where there are none yet."""
    rows = {name: cells(entry) for name, entry in networks.items()}
    return _fill(_TABLE, what="network", headings=headings(batch), rows=rows)


def _engines(run: Run) -> str:
    """The table of the engines of what was found; empty where there are none."""
    if run.result is None or run.result.design is None:
        return ""
    rows = engine_rows(run.result.design)
    return _fill(_TABLE, what="engine", headings=HEADINGS, rows=rows)


def _fill(template: str, **values: object) -> str:
    """A template of this package, filled in; all text is escaped that is not marked as safe."""
    jinja2 = require("jinja2", extra="report")
    file = resources.files("sartor.report").joinpath(template)
    text = file.read_text(encoding="utf-8")
    # Names of networks, layers and folders are other people's text.
    environment = jinja2.Environment(autoescape=True)
    filled = environment.from_string(text).render(**values)
    return str(filled)
