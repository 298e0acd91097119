"""One self-contained HTML page: works offline, holds its own drawing code."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

import sartor
from sartor.machine import require
from sartor.pipeline import Entry
from sartor.report._figures import figures
from sartor.runs import HEADINGS, Run, VerifiedRun, cells, counted, tuned_words

_CAPTIONS = {
    "history": "Reward of every episode, and the best so far.",
    "plane": "Accuracy against cost of every episode scored in full. Line: not beaten by any other. Shapes: scored at the end.",
    "channels": "Output channels of every layer, before and after.",
    "macs": "Multiply-accumulates of every layer, before and after.",
    "latency": "Latency of every layer by the runtime's profiler, before and after.",
    "bits": "Bits of the weights of every layer, before and after.",
    "sensitivity": "How far the outputs move when one parameter of one layer is compressed (Ω, nats).",
}


def payload(facts: Run) -> dict[str, Any]:
    """What changes while a search runs: one line of state, the table, the figures."""
    facts.require_episodes()
    best = max(facts.episodes, key=lambda episode: episode.reward).outcome.accuracy
    done = f"{len(facts.episodes)} of {facts.config.options.episodes} episodes"
    return {
        "state": f"{facts.state}: {done}, best {100 * best:.2f} % of the reward images",
        "table": str(_table(facts)),
        "figures": {
            name: {"caption": _CAPTIONS[name], "spec": chart.to_dict()}
            for name, chart in figures(facts).items()
        },
    }


def page(facts: Run, *, live: bool = False) -> str:
    """The page. Raises `MissingPackageError` without altair and vl-convert."""
    return render(
        f"sartor: {facts.config.model}, {facts.config.budget or 'no budget'} ({facts.name})",
        payload(facts),
        delivered=[
            *map(_verified, facts.verified),
            *([tuned_words(facts.finetuned)] if facts.finetuned else []),
        ],
        faults=[
            *facts.missed,
            *(fault for verified in facts.verified for fault in verified.faults),
        ],
        how=_how(facts),
        live=live,
    )


def render(
    title: str,
    content: dict[str, Any],
    *,
    delivered: list[str],
    faults: list[str],
    how: dict[str, str],
    live: bool = False,
) -> str:
    """A page of a line of state, a table and figures (`payload`), and of what does not change."""
    template = Environment(autoescape=True).from_string(
        resources.files("sartor.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        payload=content,
        payload_json=json.dumps(content).replace("<", "\\u003c"),  # nothing in it ends the script
        bundle=require("vl_convert", extra="report")
        .javascript_bundle()
        .replace("</script", "<\\/script"),
        delivered=delivered,
        faults=faults,
        how=how,
        live=live,
    )


def _table(facts: Run) -> Markup:
    if not facts.result:
        return Markup("<p>The search has not ended; what it delivers is scored then.</p>")
    return table(facts.result.networks)


def table(networks: dict[str, Entry]) -> Markup:
    """Entries of reports by name, one row each."""
    head = Markup("").join(
        Markup("<th scope='col'>{}</th>").format(name) for name in ("network", *HEADINGS)
    )
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(_row(name, entry)) for name, entry in networks.items()
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows)


def _row(name: str, entry: Entry) -> Markup:
    written = (Markup("<td>{}</td>").format(cell) for cell in cells(entry))
    return Markup("<th scope='row'>{}</th>").format(name) + Markup("").join(written)


def _verified(verified: VerifiedRun) -> str:
    found = verified.found
    latency = found.latency
    images = f" of {found.batch} images" if found.batch > 1 else ""
    memory = "unknown"
    if found.peak_memory_bytes is not None:
        memory = f"{found.peak_memory_bytes:,} bytes"
    return (
        f"{found.artifact} in {found.runtime} on {found.device}, "
        f"{counted(found.threads, 'thread')}: "
        f"accuracy {100 * found.accuracy:.2f} % on {found.images:,} test images "
        f"(simulated {100 * found.simulated:.2f} %), latency{images} "
        f"{1e3 * latency.candidate.median_s:.3f} ms, {latency.relative:.3f} of the original's "
        f"({latency.low:.3f} to {latency.high:.3f}), {found.size_bytes:,} bytes, "
        f"peak memory {memory}."
    )


def _how(facts: Run) -> dict[str, str]:
    config, options = facts.config, facts.config.options
    target = facts.result.target if facts.result else None
    versions = facts.result.versions if facts.result else {"sartor": sartor.__version__}
    return {
        "network": f"{config.model}, weights {config.weights}",
        "data": config.data,
        "budget": config.budget or "none",
        "agent": f"{options.agent}, seed {options.seed}, methods {', '.join(options.methods)}",
        "target": f"{target.runtime}, {target.device}, {counted(target.threads, 'thread')}"
        if target
        else "none",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "command": facts.command,
    }
