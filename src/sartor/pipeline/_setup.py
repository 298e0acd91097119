"""From options to what a search works with: a scorer, a target, a problem."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from sartor import targets
from sartor.agents import Experience
from sartor.budget import Budget
from sartor.compression import (
    REDUCED,
    Compressor,
    can_be_quantized,
    images_kept,
    keep_safe_groups,
    network_on,
    read_policy,
)
from sartor.cost import CostModel, LatencyPredictor
from sartor.data import Data, Images
from sartor.errors import UsageError
from sartor.graph import Given, Network, trace
from sartor.machine import Progress, Step, channels_last, choose_device
from sartor.pipeline._options import SearchOptions
from sartor.policy import Policy
from sartor.problem import Multiples, Precision, Problem, SearchSpace
from sartor.scoring import CallableScorer, ImageScorer, Scorer, require_scorable
from sartor.targets import Deployment, LatencyTable, Target
from sartor.tasks import Task

_LOGGER = logging.getLogger(__name__)
#: Images of the reward at least and at most, and MACs of their forward passes where not given.
_REWARD_IMAGES = (1000, 5000)
_REWARD_MACS = 5000 * 126_000_000
#: Channels that kernels work on at a time, where no target says it.
_KERNELS = 8


def make_scorer(
    data: Data | None,
    evaluate: Callable[[nn.Module], float] | None,
    options: SearchOptions,
    original: Network,
    deployment: Deployment | None,
    *,
    compare: bool,
    task: Task,
) -> Scorer:
    """What gives the reward; with ``compare``, closeness to the ``original``.

    Raises `UsageError` and `DataError` for outputs and labels that cannot be scored.
    """
    if evaluate is not None:
        return CallableScorer(evaluate)
    assert data is not None
    require_scorable(original.module, data, task)
    return ImageScorer.in_fastest_dtype(
        original.module,
        data.validation,
        task=task,
        limit=options.reward_images or _usual_reward_images(original),
        seed=options.seed,
        compare=compare,
        deployment=deployment,
    )


def _usual_reward_images(network: Network) -> int:
    """As many as take no longer to run than 5,000 images through a ResNet-56."""
    least, most = _REWARD_IMAGES
    affordable = _REWARD_MACS // max(1, CostModel(network).original.macs)
    return max(least, min(most, affordable))


def make_target(options: SearchOptions) -> Target | None:
    """The target that the options name; None if they name none."""
    if not options.target:
        return None
    return targets.make(options.target, options.target_options)


def read_base(options: SearchOptions) -> Policy | None:
    """The policy of the earlier run that a search is based on. Raises `RunError` if it is gone."""
    if options.base is None:
        return None
    return read_policy(options.base)


def read_experience(options: SearchOptions) -> tuple[Experience, ...]:
    """Episodes of the earlier searches to learn from. Raises `RunError` for other files."""
    return tuple(Experience.read(path) for path in options.learn_from)


def _require_precisions(options: SearchOptions, target: Target | None) -> None:
    if "quantize" in options.methods and target is None:
        raise UsageError(
            "the method quantize needs a target, which says which precisions there are; give for "
            "instance --target onnxruntime, or target='onnxruntime' in Python"
        )


def calibration_images(images: Images, options: SearchOptions) -> Tensor:
    """Those that candidates are made from, normalised, (count, …): as many as fit into memory."""
    wanted = min(len(images), options.compress.most_images)
    few = images.batch(slice(0, 1))
    most = images_kept(few) if len(few) else 0
    if wanted > most:
        _LOGGER.warning(
            "%d of %d calibration images are used, more would not fit into memory",
            most,
            wanted,
        )
    # As they are read: a copy in another layout would be as large again.
    return channels_last(images.batch(slice(0, min(wanted, most))))


def make_compressor(
    model: nn.Module,
    examples: Given,
    calibration: Tensor | None,
    options: SearchOptions,
    target: Target | None,
) -> Compressor:
    """What builds the candidates of a network on its device, rounded as the target does it.

    Raises `UsageError` for a device that this machine does not have, or that the network cannot
    run on.
    """
    device = choose_device(options.device)
    network = keep_safe_groups(trace(model, examples))
    placed = network_on(network, device)
    if calibration is not None:
        calibration = calibration.to(device)
    scheme = target.scheme if target else REDUCED
    return Compressor(placed, calibration, options.compress, options.seed, scheme=scheme)


def make_problem(
    compressor: Compressor,
    budget: Budget,
    options: SearchOptions,
    target: Target | None,
    *,
    base: Policy | None = None,
    deployment: Deployment | None = None,
    latencies: Path | None = None,
    enforced: bool = True,
) -> Problem:
    """Decisions that the methods leave open, with the precisions of the target.

    What ``base`` has decided and the methods do not stays as it is.
    A budget on latency needs its ``deployment``, and keeps latencies of layers in a file; unless
    it is ``enforced`` (`Reward.enforces_budget`), proposals are not projected onto it.
    """
    _require_precisions(options, target)

    network = compressor.network
    if base is not None and target is not None:
        target.check(network, base)
    if target is not None:
        base = _without_floats(network, target, base)

    precisions = _precisions(network, options, target)
    space = SearchSpace(
        methods=options.methods,
        granularity=options.granularity,
        min_keep=options.min_keep,
        multiple=multiple_of(options, target),
        precisions=precisions,
    )
    hardware = None if target is None else target.costs(compressor.cost_model)
    latency: LatencyPredictor | None = hardware
    if hardware is None and deployment is not None and budget.bounds_latency:
        table = _table_file(options, deployment.target, latencies)
        timed = _with_base(precisions, base)
        measured = LatencyTable.measure(compressor.cost_model, deployment, timed, table)
        # Without bounds: networks that are over the budget must be measured as they are.
        unbounded = Problem.of(
            compressor.cost_model, Budget(()), space, latency=measured, base=base
        )
        _measure_corners(unbounded, compressor, measured, options.seed, deployment.progress)
        latency = measured

    bounds = budget if enforced else budget.without_latency()
    if hardware is not None:
        bounds = bounds.also(hardware.limits())
    return Problem.of(
        compressor.cost_model,
        bounds,
        space,
        latency=latency,
        hardware=hardware,
        base=base,
    )


def multiple_of(options: SearchOptions, target: Target | None) -> int | Multiples:
    """What channel counts are multiples of: as the options say, else as kernels work."""
    if options.multiple is not None:
        return options.multiple
    channels = _KERNELS if target is None else target.describe().channel_multiple
    return Multiples(channels)


def _precisions(
    network: Network, options: SearchOptions, target: Target | None
) -> dict[str, tuple[Precision, ...]]:
    """Bits that are open for each layer, by its name."""
    if target is None or "quantize" not in options.methods:
        return {}
    found = {}
    for layer in network.layers:
        module = network.module.get_submodule(layer.name)
        if can_be_quantized(module):
            found[layer.name] = target.precisions(layer)
    return found


def _without_floats(network: Network, target: Target, base: Policy | None) -> Policy | None:
    """What was decided before and, on a target without floats, the finest bits for all else."""
    if target.describe().dtypes:
        return base
    decided = base or Policy()
    weight_bits = dict(decided.weight_bits)
    activation_bits = dict(decided.activation_bits)
    for layer in network.layers:
        if layer.name in decided.quantized:
            continue
        finest = max(target.precisions(layer))
        weight_bits[layer.name], activation_bits[layer.name] = finest
    return replace(decided, weight_bits=weight_bits, activation_bits=activation_bits)


def _with_base(
    precisions: Mapping[str, tuple[Precision, ...]], base: Policy | None
) -> dict[str, tuple[Precision, ...]]:
    """The same, and the bits that an earlier run has settled."""
    found = dict(precisions)
    if base is None:
        return found
    for name in base.quantized:
        open_bits = found.get(name, ())
        found[name] = (*open_bits, base.bits(name))
    return found


def _table_file(options: SearchOptions, target: Target, file: Path | None) -> Path | None:
    """Where the latencies of layers are kept; never in a table that is itself the target."""
    shared = options.table is not None and not target.reads_table
    return options.table if shared else file


def _measure_corners(
    problem: Problem,
    compressor: Compressor,
    latency: LatencyTable,
    seed: int,
    progress: Progress,
) -> None:
    """Correct predicted latencies by a few whole networks.

    Their widths and precisions go from least to most; two are mixtures.
    """
    middle = (problem.lowest + problem.highest) // 2
    rows = problem.corners((problem.lowest, middle, problem.highest))

    # Where precisions alternate, runtimes convert between layers, which no single layer shows.
    rng = np.random.default_rng(seed)
    for row in (middle, problem.highest):
        drawn = rng.uniform(size=len(problem)) < 0.5
        coarse = problem.quantizes & drawn
        mixture = np.where(coarse, problem.lowest, row)
        rows.append(mixture)

    # Corners coincide where only one method is open, and every one costs a measurement.
    distinct = {row.tobytes(): row for row in rows}
    for done, row in enumerate(distinct.values()):
        progress(Step("measuring whole networks", done, len(distinct)))
        ratios = row / problem.sizes
        counts = problem.execute(ratios)
        policy = problem.policy(counts)

        # Built only if the file of latencies lacks it.
        build = functools.partial(compressor.candidate, policy)
        groups, settings = problem.split(counts)
        name = policy.to_json()
        latency.measure_whole(groups, settings, name, build)
    progress(Step("measuring whole networks", len(distinct), len(distinct)))
