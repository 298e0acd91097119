"""Turns policies into candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor, fx

from sartor.compression._batchnorm import reestimate
from sartor.compression._options import CompressOptions
from sartor.compression._ranking import Ranking, rank
from sartor.compression.modules import fastest_dtype, fold, weight_of, with_tensors
from sartor.compression.quantizing import (
    REDUCED,
    QuantizedWeight,
    Ranges,
    Scheme,
    calibrate,
    quantize,
    with_rounded_weight,
)
from sartor.compression.refitting import Calibration, Refitter, as_matrix, error_curve, keep_largest
from sartor.compression.slicing import narrow
from sartor.cost import CostModel
from sartor.errors import DataError
from sartor.graph import Network
from sartor.machine import BoolArray, FloatArray
from sartor.policy import FULL_WIDTH, Policy


class Compressor:
    """Candidates of one network.

    ``calibration`` (kept as ``images``) are normalised images, or None: then channels are ranked by magnitude, nothing is
    refitted, and ranges of activations are unknown. ``scheme`` is how the target rounds.
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
        self.network, self.options, self.seed, self.scheme = network, options, seed, scheme
        self.cost_model = CostModel(network)
        self.images = calibration
        # what was quantized last, before that: searches over bits alone prune alike every time
        self._folded: tuple[tuple[Policy, bool], fx.GraphModule, Ranges] | None = None

    @cached_property
    def refitter(self) -> Refitter | None:
        """Refits the candidates of a search."""
        if self.images is None:
            return None
        dtype = fastest_dtype(self.network.module, (self.images,))
        return self._refitter(self.options.images, dtype)

    @cached_property
    def final_refitter(self) -> Refitter | None:
        """Refits what is delivered."""
        return self._refitter(self.options.final_images, torch.float32)

    @cached_property
    def ranking(self) -> Ranking:
        """Which units of each group go first, and the error this causes."""
        return rank(self.network, self.refitter, self.options.select)

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error for each share of single weights of a layer kept, comparable between layers."""
        if self.refitter is not None and self.refitter.can_solve(layer):
            return self.refitter.weight_errors(layer, keep)
        matrix = as_matrix(weight_of(self.network.module.get_submodule(layer)))
        sensitivity = (
            self.refitter.calibration.sensitivity[layer]
            if self.refitter
            else torch.ones(len(matrix))
        )
        return error_curve(matrix.square() * sensitivity[:, None], keep)

    def kept(self, policy: Policy) -> BoolArray:
        """One flag per unit of the network."""
        return self.ranking.kept(self.network, self.cost_model.counts(policy))

    def candidate(self, policy: Policy, *, final: bool = False) -> fx.GraphModule:
        """The network with a policy applied. ``final``: refitted from more calibration images, in fp32.

        Where the policy has bits, batch norms are folded. Raises `DataError` for bits without calibration images.
        """
        if not policy.quantized:
            return self._pruned(policy, final=final)
        if self.images is None:
            raise DataError(
                "quantizing needs calibration images to find the ranges of activations; none were given"
            )
        before = replace(policy, weight_bits={}, activation_bits={}), final
        if self._folded is None or self._folded[0] != before:
            self._folded = before, fold(self._pruned(policy, final=final)), {}
        _, folded, ranges = self._folded
        images = self.images[: self.options.range_images]
        return quantize(folded, policy, (images,), self.scheme, self.options.ranges, known=ranges)

    def precision_errors(self, layer: str, precisions: Sequence[tuple[int, int]]) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, at each pair of weight and activation bits.

        Comparable with the errors of pruning, and never larger than that of a pair that is as coarse in both. Rounding of the
        input counts as noise of a twelfth of its squared step.
        """
        if self.images is None or self.refitter is None:
            return np.array([4.0**-w + 4.0**-a for w, a in precisions])
        module = self.network.module.get_submodule(layer)
        matrix, sensitivity = (
            as_matrix(weight_of(module)),
            self.refitter.calibration.sensitivity[layer],
        )
        gram = (
            self.refitter.gram(layer)[0]
            if self.refitter.can_solve(layer)
            else torch.eye(matrix.shape[1])
        )
        low, high = self._input_ranges[layer]
        errors = []
        for weight_bits, activation_bits in precisions:
            error = 0.0
            if weight_bits < FULL_WIDTH:
                rounded = with_rounded_weight(module, weight_bits, self.scheme)
                change = as_matrix(cast("QuantizedWeight", rounded).rounded()) - matrix
                error += float((change @ gram * change).sum(1) @ sensitivity)
            if activation_bits < FULL_WIDTH:
                step = (high - low) / (2**activation_bits - 1)
                error += float(matrix.square().sum(1) @ sensitivity) * step**2 / 12
            errors.append(error)
        pairs = np.array(precisions)
        coarser = (pairs[:, None] >= pairs[None]).all(
            2
        )  # row by row: which pairs are no finer in any way, itself among them
        return np.where(coarser, np.array(errors), np.inf).min(1)

    @cached_property
    def _input_ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest input of every layer of the original."""
        assert self.images is not None
        module = self.network.module
        calls = [
            n
            for n in module.graph.nodes
            if n.op == "call_module" and str(n.target) in self.network.layer_by_name
        ]
        points = {(call.all_input_nodes[0], FULL_WIDTH) for call in calls}
        found = calibrate(module, (self.images[: self.options.range_images],), points, "minmax")
        return {str(call.target): found[call.all_input_nodes[0], FULL_WIDTH] for call in calls}

    def _pruned(self, policy: Policy, *, final: bool) -> fx.GraphModule:
        kept = self.kept(policy)
        densities = {name: ratio for name, ratio in policy.weights.items() if ratio < 1}
        candidate = narrow(self.network, kept)
        refitter = self.final_refitter if final else self.refitter
        if refitter is None or self.options.refit == "none":
            self._mask(candidate, densities)
        else:
            self._mask(
                candidate,
                {name: ratio for name, ratio in densities.items() if not refitter.can_solve(name)},
            )
            if not kept.all() or densities:
                refitter.refit(
                    candidate, kept, densities=densities, inputs=self.options.refit, everywhere=True
                )
        if self.options.batchnorm and refitter is not None:
            reestimate(candidate, refitter.calibration.inputs)
        return candidate

    def _refitter(self, images: int, dtype: torch.dtype) -> Refitter | None:
        if self.images is None:
            return None
        generator = torch.Generator().manual_seed(self.seed)
        calibration = Calibration(
            self.network, self.images[:images], self.options.positions, generator
        )
        return Refitter(
            calibration, ridge=self.options.ridge, selection=self.options.select, dtype=dtype
        )

    @staticmethod
    def _mask(candidate: fx.GraphModule, densities: dict[str, float]) -> None:
        for layer, density in densities.items():
            module = candidate.get_submodule(layer)
            weight = weight_of(module)
            mask = keep_largest(weight.abs(), density)
            candidate.set_submodule(layer, with_tensors(module, {"weight": weight * mask}))
