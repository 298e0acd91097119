"""Turns policies into candidates."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, fx

from sartor.compression._batchnorm import reestimate
from sartor.compression._options import CompressOptions
from sartor.compression._precision_errors import (
    blind_precision_errors,
    input_ranges,
    precision_errors,
)
from sartor.compression._ranking import Ranking, rank
from sartor.compression.modules import (
    device_of,
    fastest_dtype,
    fold,
    tie_equal,
    weight_of,
    with_tensors,
)
from sartor.compression.quantizing import REDUCED, Ranges, Scheme, quantize
from sartor.compression.refitting import (
    Calibration,
    Refitter,
    as_matrix,
    error_curve,
    images_at_once,
    images_kept,
    keep_largest,
)
from sartor.compression.rounding import RoundingRefit
from sartor.compression.slicing import narrow
from sartor.cost import CostModel
from sartor.errors import DataError
from sartor.graph import Network
from sartor.machine import BoolArray, FloatArray, give_freed_memory_back
from sartor.policy import Policy


class Compressor:
    """Candidates of one network.

    ``calibration`` (kept as ``images``) are normalised images, (count, …), or None: then channels
    are ranked by magnitude, nothing is refitted, and ranges of activations are unknown. ``scheme``
    is how the target rounds. Everything is computed where the network and the images are, and
    candidates are there too (`on_device`, `deployable`).

    >>> from sartor import trace
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> compressor = Compressor(trace(model, torch.zeros(1, 4)), None, CompressOptions())
    >>> candidate = compressor.candidate(Policy(channels={"0": 0.5}))
    >>> candidate(torch.zeros(3, 4)).shape, candidate.get_submodule("0").out_features
    (torch.Size([3, 2]), 4)
    """

    def __init__(
        self,
        network: Network,
        calibration: Tensor | None,
        options: CompressOptions,
        seed: int = 0,
        *,
        scheme: Scheme = REDUCED,
    ) -> None:
        self.network = network
        self.images = calibration
        self.options = options
        self.seed = seed
        self.scheme = scheme
        # What was quantized last, before that: searches over bits alone prune alike every time.
        self._folded: tuple[tuple[Policy, bool], fx.GraphModule, Ranges] | None = None

    @property
    def device(self) -> torch.device:
        """Where candidates are computed."""
        return device_of(self.network.module)

    @cached_property
    def cost_model(self) -> CostModel:
        """What policies cost."""
        return CostModel(self.network)

    @cached_property
    def refitter(self) -> Refitter | None:
        """Refits the candidates of a search; None without calibration images."""
        if self.images is None:
            return None
        # A GPU is fast enough in fp32, in which its fits are those of the CPU.
        dtype = torch.float32
        if self.device.type == "cpu":
            dtype = fastest_dtype(self.network.module, (self.images,))
        return self._make_refitter(self.options.images, dtype)

    @cached_property
    def final_refitter(self) -> Refitter | None:
        """Refits what is delivered; None without calibration images."""
        if self.images is None:
            return None
        # It works on many images, but only a few times.
        return self._make_refitter(self.options.final_images, torch.float32, thrifty=True)

    @cached_property
    def ranking(self) -> Ranking:
        """Which units of each group go first, and the error this causes."""
        ranking = rank(self.network, self.refitter, self.options.select)
        # Gradients of all layers, for one, are of other sizes than what candidates need.
        give_freed_memory_back()
        return ranking

    def not_refitted(self, policy: Policy) -> dict[str, str]:
        """Layers whose weights a policy leaves as they are, with the reason.

        Empty for a policy that prunes nothing, and where nothing is to be refitted.
        """
        ratios = [*policy.channels.values(), *policy.weights.values()]
        prunes = any(ratio < 1 for ratio in ratios)
        if not prunes or self.refitter is None or self.options.refit == "none":
            return {}
        return self.refitter.not_refitted(policy.weights, self.options.refit)

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error for each share of single weights of a layer kept, comparable between layers."""
        refitter = self.refitter
        if refitter is not None and refitter.can_solve(layer):
            return refitter.weight_errors(layer, keep)

        # Without inputs to look at, all are taken to be of unit energy.
        module = self.network.module.get_submodule(layer)
        matrix = as_matrix(weight_of(module))
        sensitivity = matrix.new_ones(len(matrix))
        if refitter is not None:
            sensitivity = refitter.calibration.sensitivity[layer]
        errors = matrix.square() * sensitivity[:, None]
        return error_curve(errors, keep)

    def precision_errors(self, layer: str, precisions: Sequence[tuple[int, int]]) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, at each pair of bits.

        Pairs are of weight and activation bits. Comparable with the errors of pruning, and never
        larger than that of a pair that is as coarse in both.
        """
        if self.refitter is None:
            return blind_precision_errors(precisions)
        read = self._input_ranges[layer]
        return precision_errors(self.refitter, layer, precisions, read, self.scheme)

    def release(self) -> None:
        """Let go of what is kept for the next candidate; candidates stay the same."""
        self._release("refitter")
        self._release("final_refitter")

    def _release(self, name: str) -> None:
        """Of one refitter, if it was made: the other needs memory in blocks of other sizes."""
        refitter: Refitter | None = self.__dict__.get(name)
        if refitter is not None:
            refitter.release()
        give_freed_memory_back()

    def kept(self, policy: Policy) -> BoolArray:
        """One flag per unit of the network."""
        counts = self.cost_model.counts(policy)
        return self.ranking.kept(self.network, counts)

    def candidate(self, policy: Policy, *, final: bool = False) -> fx.GraphModule:
        """The network with a policy applied.

        ``final``: refitted from more calibration images, in fp32, with tensors of its own. Others
        share theirs with the network and with the next candidate: never write into them. Where
        the policy has bits, batch norms are folded. Raises `DataError` for bits without
        calibration images.
        """
        if not final:
            return self._candidate(policy, final=False)
        self._release("refitter")
        return copy.deepcopy(self._candidate(policy, final=True))

    def _candidate(self, policy: Policy, *, final: bool) -> fx.GraphModule:
        if not policy.quantized:
            return self._pruned(policy, final=final)
        if self.images is None:
            raise DataError(
                "quantizing needs calibration images to find the ranges of activations; "
                "none were given"
            )

        folded, ranges = self._folded_of(policy, final=final)
        candidate = quantize(
            folded,
            policy,
            inputs=(self._range_images,),
            scheme=self.scheme,
            ranges=self.options.ranges,
            known=ranges,
            at_once=images_at_once(self.network),
        )
        if self.options.rounding == "fitted":
            refitter = self.final_refitter if final else self.refitter
            assert refitter is not None
            calibration = refitter.calibration
            RoundingRefit(calibration, folded, candidate, ridge=self.options.ridge).run()
        return candidate

    @cached_property
    def _range_images(self) -> Tensor:
        """What ranges of activations are taken from."""
        assert self.images is not None
        return self.images[: self.options.range_images]

    @cached_property
    def _input_ranges(self) -> dict[str, tuple[float, float]]:
        return input_ranges(self.network, self._range_images)

    def _folded_of(self, policy: Policy, *, final: bool) -> tuple[fx.GraphModule, Ranges]:
        """What a policy's bits are applied to, and the ranges that are known of it."""
        pruning = replace(policy, weight_bits={}, activation_bits={})
        key = (pruning, final)
        if self._folded is None or self._folded[0] != key:
            pruned = self._pruned(policy, final=final)
            self._folded = (key, fold(pruned), {})

        _, folded, ranges = self._folded
        return folded, ranges

    def _pruned(self, policy: Policy, *, final: bool) -> fx.GraphModule:
        kept = self.kept(policy)
        densities = {name: ratio for name, ratio in policy.weights.items() if ratio < 1}
        candidate = narrow(self.network, kept)

        refitter = self.final_refitter if final else self.refitter
        if refitter is None or self.options.refit == "none":
            _mask_smallest(candidate, densities)
        else:
            self._refit(refitter, candidate, kept, densities)

        # Layers that share weights were masked or refitted one by one.
        tie_equal(candidate, self.network.shared)
        if self.options.batchnorm and refitter is not None:
            # Of as many images as run at once: statistics need all their values together.
            reestimate(candidate, refitter.calibration.parts[0])
        return candidate

    def _refit(
        self,
        refitter: Refitter,
        candidate: fx.GraphModule,
        kept: BoolArray,
        densities: dict[str, float],
    ) -> None:
        assert self.options.refit != "none"
        unsolved = {}
        for name, density in densities.items():
            if not refitter.can_solve(name):
                unsolved[name] = density

        _mask_smallest(candidate, unsolved)

        # A policy that prunes nothing leaves the weights as they were trained.
        if kept.all() and not densities:
            return

        refitter.refit(
            candidate,
            kept,
            densities=densities,
            inputs=self.options.refit,
            everywhere=True,
        )

    def _make_refitter(self, count: int, dtype: torch.dtype, *, thrifty: bool = False) -> Refitter:
        assert self.images is not None
        images = self.images[:count]
        positions = self.options.positions
        if len(images) == images_kept(images):
            # More did not fit into memory: as many samples are taken of fewer images.
            positions = math.ceil(count * positions / len(images))

        generator = torch.Generator().manual_seed(self.seed)
        calibration = Calibration.sample(
            self.network,
            images,
            positions=positions,
            generator=generator,
        )
        return Refitter(
            calibration,
            ridge=self.options.ridge,
            selection=self.options.select,
            dtype=dtype,
            thrifty=thrifty,
        )


def _mask_smallest(candidate: fx.GraphModule, densities: dict[str, float]) -> None:
    """Zero the smallest weights of layers, so that the given shares are left."""
    for layer, density in densities.items():
        module = candidate.get_submodule(layer)
        weight = weight_of(module)
        mask = keep_largest(weight.abs(), density)

        masked = with_tensors(module, {"weight": weight * mask})
        candidate.set_submodule(layer, masked)
