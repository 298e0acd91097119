"""From options to what a search works with: a scorer, a target, a problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from sartor import targets
from sartor.budget import Budget
from sartor.compress import Compressor
from sartor.data import Data
from sartor.errors import UsageError
from sartor.evaluate import CallableScorer, ImageScorer, Scorer
from sartor.graph import Network
from sartor.options import SearchOptions
from sartor.problem import Problem
from sartor.targets import CommandTarget, LatencyTable, TableTarget, Target


def make_scorer(
    data: Data | None, evaluate: Callable[[nn.Module], float] | None, options: SearchOptions, network: Network
) -> Scorer:
    """What gives the reward."""
    faithful = options.reward.startswith("fidelity")
    if evaluate is not None:
        if faithful:
            raise UsageError(f"reward {options.reward!r} compares outputs on images; with evaluate, use an accuracy reward")
        return CallableScorer(evaluate)
    assert data is not None
    original = network.module if faithful else None
    return ImageScorer(data.validation, limit=options.reward_images, seed=options.seed, original=original)


def make_target(options: SearchOptions) -> Target | None:
    """The target that the options name."""
    if options.target == CommandTarget.name:
        return CommandTarget(
            options.command, pattern=options.command_pattern, unit=options.command_unit, threads=options.target_threads
        )
    if options.target == TableTarget.name:
        if options.table is None:
            raise UsageError(
                "the target table needs --table FILE: latencies of layers, such as latency.json in the folder of a run"
            )
        return TableTarget(options.table, threads=options.target_threads)
    return targets.make(options.target, threads=options.target_threads) if options.target else None


def _require_precisions(options: SearchOptions, target: Target | None) -> None:
    if "quantize" in options.methods and target is None:
        raise UsageError("the method quantize needs a target that says which precisions there are; give --target onnxruntime")


def make_problem(
    compressor: Compressor, budget: Budget, options: SearchOptions, target: Target | None, table: Path | None
) -> Problem:
    """Decisions that the methods leave open, with the precisions of the target and its predicted latency."""
    _require_precisions(options, target)
    cost_model, layers = compressor.cost_model, compressor.network.layers
    supports = target.describe().supports if target else {}
    quantizing = "quantize" in options.methods
    precisions = {layer.name: targets.precisions(supports, layer) for layer in layers} if quantizing else {}
    latency = None
    if target is not None and budget.latency is not None:
        latency = LatencyTable(cost_model, target, precisions, table)

    def problem(bounds: Budget) -> Problem:
        return Problem(
            cost_model, bounds, methods=options.methods, granularity=options.granularity, min_keep=options.min_keep,
            multiple=options.multiple, precisions=precisions, latency=latency,
        )  # fmt: skip

    if latency is not None:
        _measure_corners(problem(Budget(())), compressor, latency, options.seed)
    if options.reward == "absolute":
        budget = Budget(tuple(bound for bound in budget.bounds if bound.quantity != "latency"))
    return problem(budget)


def _measure_corners(problem: Problem, compressor: Compressor, latency: LatencyTable, seed: int) -> None:
    """Correct predicted latencies by a few whole networks: widths and precisions from least to most, and two mixtures."""
    bits = np.array([decision.kind == "bits" for decision in problem.decisions])
    middle = (problem.lowest + problem.sizes) // 2
    widths = (problem.lowest, middle, problem.sizes)
    rows = [np.where(bits, precision, width) for precision in (problem.lowest, problem.sizes) for width in widths]
    rng = np.random.default_rng(seed)
    rows += [np.where(bits & (rng.uniform(size=len(bits)) < 0.5), problem.lowest, row) for row in (middle, problem.sizes)]
    for ratios in {row.tobytes(): row / problem.sizes for row in rows}.values():
        counts = problem.execute(ratios)
        policy = problem.policy(counts)
        latency.measure_whole(
            *problem.split(counts),
            policy.to_json(),
            lambda policy=policy: compressor.candidate(policy),  # type: ignore[misc]
        )


def ceiling_of(problem: Problem, budget: Budget) -> float | None:
    """The bound on latency as a share of the original's, whether the problem enforces it or only the reward knows of it."""
    if budget.latency is None:
        return None
    return budget.latency.limit(problem.of_original("latency")) / problem.of_original("latency")
