"""From options to what a search works with: a scorer, a target, a problem."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from sartor import sensitivity, targets
from sartor.agents import as_factory, class_of
from sartor.budget import Budget
from sartor.compression import REDUCED, Compressor, can_be_quantized, keep_safe_groups, read_policy
from sartor.data import Data
from sartor.errors import RunError, UsageError
from sartor.graph import Network, trace
from sartor.machine import read_json, write_text
from sartor.pipeline._options import SearchOptions
from sartor.problem import Problem, SearchSpace
from sartor.scoring import CallableScorer, ImageScorer, Scorer, require_scorable
from sartor.search import LayerLatency
from sartor.sensitivity import Sensitivity
from sartor.targets import Deployment, LatencyTable, Target

#: Images on which Ω is measured.
_SENSITIVITY_IMAGES = 256
#: Where latencies of layers are kept: each alone, and each within the whole.
_TABLE = "latency.json"
_PROFILE = "profile.json"


def make_scorer(
    data: Data | None,
    evaluate: Callable[[nn.Module], float] | None,
    options: SearchOptions,
    original: Network,
    deployment: Deployment | None,
    *,
    compare: bool,
) -> Scorer:
    """What gives the reward; with ``compare``, closeness to the ``original``.

    Raises `UsageError` and `DataError` for outputs and labels that cannot be scored.
    """
    if evaluate is not None:
        if compare:
            raise UsageError(
                f"reward {options.reward!r} compares outputs on images; with evaluate, use an accuracy reward"
            )
        return CallableScorer(evaluate)
    assert data is not None
    require_scorable(original.module, data)
    return ImageScorer.in_fastest_dtype(
        original.module,
        data.validation,
        limit=options.reward_images,
        seed=options.seed,
        compare=compare,
        deployment=deployment,
    )


def make_target(options: SearchOptions) -> Target | None:
    """The target that the options name."""
    if not options.target:
        return None
    return targets.make(options.target, options.target_options)


def _require_precisions(options: SearchOptions, target: Target | None) -> None:
    if "quantize" in options.methods and target is None:
        raise UsageError(
            "the method quantize needs a target that says which precisions there are; give --target onnxruntime"
        )


def make_compressor(
    model: nn.Module,
    examples: Tensor | Sequence[Tensor],
    calibration: Tensor | None,
    options: SearchOptions,
    target: Target | None,
) -> Compressor:
    """What builds the candidates of a network, rounded as the target does it."""
    network = keep_safe_groups(trace(model, examples))
    scheme = target.scheme if target else REDUCED
    return Compressor(network, calibration, options.compress, options.seed, scheme=scheme)


def make_problem(
    compressor: Compressor,
    budget: Budget,
    options: SearchOptions,
    target: Target | None,
    *,
    deployment: Deployment | None = None,
    folder: Path | None = None,
    enforced: bool = True,
) -> Problem:
    """Decisions that the methods leave open, with the precisions of the target.

    A budget on latency needs its ``deployment``; unless it is ``enforced`` (`Reward.enforces_budget`),
    proposals are not projected onto it.
    """
    _require_precisions(options, target)
    base = read_policy(options.base) if options.base else None
    if base is not None and target is not None:
        target.check(compressor.network, base)
    cost_model, layers = compressor.cost_model, compressor.network.layers
    supports = target.describe().supports if target else {}
    quantizing = "quantize" in options.methods
    known = [
        layer
        for layer in layers
        if can_be_quantized(compressor.network.module.get_submodule(layer.name))
    ]
    precisions = (
        {layer.name: targets.precisions(supports, layer) for layer in known} if quantizing else {}
    )
    latency = None
    if deployment is not None and budget.bounds_latency:
        given = {name: (base.bits(name),) for name in base.quantized} if base else {}
        names = precisions.keys() | given.keys()
        latency = LatencyTable.measure(
            cost_model,
            deployment,
            {name: (*precisions.get(name, ()), *given.get(name, ())) for name in names},
            _table_file(options, deployment.target, folder),
        )

    space = SearchSpace(
        methods=options.methods,
        granularity=options.granularity,
        min_keep=options.min_keep,
        multiple=options.multiple,
        precisions=precisions,
    )

    def problem(bounds: Budget) -> Problem:
        return Problem.of(cost_model, bounds, space, latency=latency, base=base)

    if latency is not None:
        _measure_corners(problem(Budget(())), compressor, latency, options.seed)
    if not enforced:
        budget = budget.without_latency()
    return problem(budget)


def _table_file(options: SearchOptions, target: Target, folder: Path | None) -> Path | None:
    """Where the latencies of layers are kept; never in a table that is itself the target."""
    if options.table is not None and not target.reads_table:
        return options.table
    return folder / _TABLE if folder else None


def _measure_corners(
    problem: Problem, compressor: Compressor, latency: LatencyTable, seed: int
) -> None:
    """Correct predicted latencies by a few whole networks: widths and precisions from least to most, and two mixtures."""
    middle = (problem.lowest + problem.highest) // 2
    widths = (problem.lowest, middle, problem.highest)
    rows = problem.corners(widths)
    rng = np.random.default_rng(seed)
    rows += [
        np.where(problem.quantizes & (rng.uniform(size=len(problem)) < 0.5), problem.lowest, row)
        for row in (middle, problem.highest)
    ]
    for ratios in {row.tobytes(): row / problem.sizes for row in rows}.values():
        counts = problem.execute(ratios)
        policy = problem.policy(counts)
        latency.measure_whole(
            *problem.split(counts),
            policy.to_json(),
            lambda policy=policy: compressor.candidate(policy),  # type: ignore[misc]
        )


def measure_layers(
    compressor: Compressor,
    problem: Problem,
    deployment: Deployment | None,
    options: SearchOptions,
    folder: Path | None,
) -> tuple[Sensitivity | None, LayerLatency | None]:
    """What the options let the agent know of each layer: Ω and latency; kept in the run's folder, so that resuming sees the same.

    Raises `UsageError` for latency without a target, or with one that has no profiler.
    """
    if not class_of(as_factory(options.agent)).sees_measurements:
        return None, None
    omega = _sensitivity(compressor, options, folder) if "sensitivity" in options.state else None
    if "latency" not in options.state:
        return omega, None
    if deployment is None:
        raise UsageError(
            "the state has latency, which needs a target; give for instance --target onnxruntime"
        )
    return omega, _layer_latency(
        compressor, problem, deployment, folder / _PROFILE if folder else None
    )


def _sensitivity(
    compressor: Compressor, options: SearchOptions, folder: Path | None
) -> Sensitivity | None:
    if options.sensitivity is not None:
        found = Sensitivity.read(options.sensitivity)
        names = [group.name for group in compressor.network.groups]
        if missing := [name for name in names if name not in found.table.get("channels", {})]:
            raise RunError(
                f"{options.sensitivity} has no group {missing[0]!r}; it was measured of another network"
            )
        return found
    if compressor.images is None:
        return None
    path = folder / sensitivity.SENSITIVITY_FILE if folder else None
    return sensitivity.measure(
        compressor, compressor.images[:_SENSITIVITY_IMAGES], scheme=compressor.scheme, path=path
    )


def _layer_latency(
    compressor: Compressor, problem: Problem, deployment: Deployment, path: Path | None
) -> LayerLatency:
    if path is not None and path.exists():
        stored = read_json(path, missing="", error=RunError)
        return {name: (float(shares[0]), float(shares[1])) for name, shares in stored.items()}
    coarsest = problem.policy(problem.combine(widths=problem.highest, bits=problem.lowest))
    before, after = deployment.profile(), deployment.profile(compressor.candidate(coarsest))
    total = sum(before.values())
    layers = [layer.name for layer in compressor.network.layers]
    shares = {
        name: (before.get(name, 0.0) / total, after.get(name, 0.0) / total) for name in layers
    }
    if path is not None:
        write_text(path, json.dumps(shares, indent=1) + "\n")
    return shares
