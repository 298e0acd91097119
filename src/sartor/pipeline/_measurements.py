"""What an agent may know of each layer before a search: Ω and latency."""

from __future__ import annotations

import json
from pathlib import Path

from sartor import sensitivity
from sartor.agents import AgentFactory, as_factory, class_of
from sartor.compression import Compressor
from sartor.errors import RunError, UsageError
from sartor.machine import read_json, write_text
from sartor.pipeline._options import SearchOptions
from sartor.problem import Problem
from sartor.search import LayerLatency
from sartor.sensitivity import Probes, Sensitivity
from sartor.targets import Deployment
from sartor.tasks import Task

#: Images on which Ω is measured.
_SENSITIVITY_IMAGES = 256


def measure_layers(
    compressor: Compressor,
    problem: Problem,
    deployment: Deployment | None,
    options: SearchOptions,
    agent: str | AgentFactory,
    *,
    task: Task,
    sensitivity_file: Path | None = None,
    profile_file: Path | None = None,
) -> tuple[Sensitivity | None, LayerLatency | None]:
    """Ω and latencies of layers, as far as the agent sees them and the options name them.

    What is in the files is not measured again, so that a resumed search sees the same.

    Raises `UsageError` for latency without a target, or with one that has no profiler.
    """
    # Measuring takes minutes: agents that would not look are spared it.
    if not class_of(as_factory(agent)).sees_measurements:
        return None, None

    omega = None
    if "sensitivity" in options.state:
        omega = _sensitivity(compressor, options, task, sensitivity_file)

    latency = None
    if "latency" in options.state:
        if deployment is None:
            raise UsageError(
                "the state has latency, which needs a target; give for instance "
                "--target onnxruntime, or target='onnxruntime' in Python"
            )
        latency = _layer_latency(compressor, problem, deployment, profile_file)
    return omega, latency


def make_probes(
    compressor: Compressor,
    options: SearchOptions,
    *,
    task: Task,
    path: Path | None = None,
) -> Probes | None:
    """What tries each decision alone; None without images to try it on, or if not wanted."""
    if not options.probe or compressor.images is None:
        return None
    return Probes(compressor, task, path)


def _sensitivity(
    compressor: Compressor, options: SearchOptions, task: Task, path: Path | None
) -> Sensitivity | None:
    if options.sensitivity is not None:
        return _read_sensitivity(options.sensitivity, compressor)
    if compressor.images is None:
        return None

    images = compressor.images[:_SENSITIVITY_IMAGES]
    return sensitivity.measure(
        compressor,
        images,
        scheme=compressor.scheme,
        task=task,
        path=path,
    )


def _read_sensitivity(path: Path, compressor: Compressor) -> Sensitivity:
    """Ω from a file. Raises `RunError` if it was measured of another network."""
    found = Sensitivity.read(path)
    measured = found.table.get("channels", {})
    for group in compressor.network.groups:
        if group.name not in measured:
            raise RunError(f"{path} has no group {group.name!r}; it is of another network")
    return found


def _layer_latency(
    compressor: Compressor, problem: Problem, deployment: Deployment, path: Path | None
) -> LayerLatency:
    """Each layer's shares of the original's latency, now and at the coarsest precisions."""
    if path is not None and path.exists():
        return _read_shares(path)

    # All channels at the fewest bits: the difference is what bits alone can save.
    counts = problem.combine(widths=problem.highest, bits=problem.lowest)
    coarsest = compressor.candidate(problem.policy(counts))
    before = deployment.profile()
    after = deployment.profile(coarsest)

    # Both by the total of the original, so that the second says what is saved too.
    total = sum(before.values())
    shares = {}
    for layer in compressor.network.layers:
        original = before.get(layer.name, 0.0) / total
        rounded = after.get(layer.name, 0.0) / total
        shares[layer.name] = (original, rounded)

    if path is not None:
        text = json.dumps(shares, indent=1)
        write_text(path, text + "\n")
    return shares


def _read_shares(path: Path) -> LayerLatency:
    stored = read_json(path, missing="", error=RunError)
    found = {}
    for name, shares in stored.items():
        original, rounded = shares[0], shares[1]
        found[name] = (float(original), float(rounded))
    return found
