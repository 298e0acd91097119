"""What a report says of verified files and of how a run was made."""

from __future__ import annotations

import sartor
from sartor.runs import Run, VerifiedRun, counted


def verified_words(verified: VerifiedRun) -> str:
    """What was measured of an exported file, in one sentence."""
    found = verified.found
    latency = found.latency
    of_batch = f" of {found.batch} images" if found.batch > 1 else ""
    memory = "unknown"
    if found.peak_memory_bytes is not None:
        memory = f"{found.peak_memory_bytes:,} bytes"
    parts = (
        f"accuracy {100 * found.accuracy:.2f} % on {found.images:,} test images "
        f"(simulated {100 * found.simulated:.2f} %)",
        f"latency{of_batch} {1e3 * latency.candidate.median_s:.3f} ms",
        f"{latency.relative:.3f} of the original's ({latency.low:.3f} to {latency.high:.3f})",
        f"{found.size_bytes:,} bytes",
        f"peak memory {memory}.",
    )
    where = f"{found.runtime} on {found.device}, {counted(found.threads, 'thread')}"
    return f"{found.artifact} in {where}: {', '.join(parts)}"


def verified_briefly(verified: VerifiedRun) -> str:
    """Accuracy and latency of an exported file."""
    found = verified.found
    accuracy = f"accuracy {100 * found.accuracy:.2f} %"
    latency = f"latency {found.latency.relative:.3f} of the original's"
    return f"{found.artifact} in {found.runtime}, {accuracy}, {latency}"


def how(run: Run) -> dict[str, str]:
    """How a run was made, by what is said of it."""
    config = run.config
    options = config.options
    methods = ", ".join(options.methods)
    versions = {"sartor": sartor.__version__}
    target = "none"
    if run.result is not None:
        versions = dict(run.result.versions)
        measured = run.result.target
        if measured is not None:
            threads = counted(measured.threads, "thread")
            target = f"{measured.runtime}, {measured.device}, {threads}"
    return {
        "network": f"{config.model}, weights {config.weights}",
        "data": config.data,
        "budget": config.budget or "none",
        "agent": f"{options.agent}, seed {options.seed}, methods {methods}",
        "target": target,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "command": run.command,
    }


def how_briefly(run: Run) -> str:
    """How a run was made, in one line."""
    config = run.config
    options = config.options
    parts = (
        config.model,
        config.budget or "no budget",
        f"{options.agent} for {counted(options.episodes, 'episode')}",
        ", ".join(options.methods),
        f"seed {options.seed}",
        f"target {options.target or 'none'}",
    )
    return ", ".join(parts)
