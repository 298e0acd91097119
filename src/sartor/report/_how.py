"""How a run was made, in words."""

from __future__ import annotations

from sartor.machine import VERSION
from sartor.pipeline import Report
from sartor.runs import Run, counted


def how(run: Run) -> dict[str, str]:
    """How a run was made, by what is said of it."""
    config = run.config
    options = config.options
    methods = ", ".join(options.methods)
    return {
        "network": f"{config.model}, weights {config.weights}",
        "data": config.data,
        "budget": config.budget or "none",
        "agent": f"{options.agent}, seed {options.seed}, methods {methods}",
        "target": _target(run.result),
        "channels": _multiple(run.result),
        "versions": _versions(run.result),
        "command": run.command,
    }


def how_briefly(run: Run) -> str:
    """How a run was made, in one line."""
    config = run.config
    options = config.options
    most = "at most " if options.episodes == "auto" else ""
    parts = (
        config.model,
        config.budget or "no budget",
        f"{options.agent} for {most}{counted(options.most_episodes, 'episode')}",
        ", ".join(options.methods),
        f"seed {options.seed}",
        f"target {options.target or 'none'}",
    )
    return ", ".join(parts)


def _target(report: Report | None) -> str:
    if report is None or report.target is None:
        return "none"

    target = report.target
    threads = counted(target.threads, "thread")
    images = counted(target.batch, "image")
    return f"{target.runtime}, {target.device}, {threads}, {images} at once"


def _multiple(report: Report | None) -> str:
    return "" if report is None else f"in multiples of {report.multiple}"


def _versions(report: Report | None) -> str:
    # Until there is a result, this process is what computes it.
    versions = {"sartor": VERSION} if report is None else report.versions
    return ", ".join(f"{name} {version}" for name, version in versions.items())
