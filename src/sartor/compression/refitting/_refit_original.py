"""Refitting: the kept weights are solved anew so that each layer gives what the original gave.

Least squares on sampled positions through its normal equations (G = XᵀX, C = XᵀY): the answer of He et al. (2017) and AMC,
without stacking samples. Three refinements: the inputs may come from the already pruned network, so that later layers mend
what earlier ones broke; a layer that ends in a residual addition is fitted to the sum, so that it also mends its shortcut;
and the ridge pulls towards the current weights instead of towards zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx

from sartor.compression._options import Selection
from sartor.compression.modules import bias_of, weight_of, with_tensors
from sartor.compression.refitting._calibration import (
    Calibration,
    as_matrix,
    columns_of,
    from_matrix,
    solvable,
)
from sartor.compression.refitting._least_squares import least_squares
from sartor.compression.refitting._masks import keep_largest, least_error_mask
from sartor.compression.refitting._refit_sequential import SequentialRefit
from sartor.compression.slicing import kept_channels
from sartor.graph import walk
from sartor.machine import BoolArray, FloatArray

Inputs = Literal["original", "pruned"]

#: Shares of single weights kept at which errors are measured.
_SHARES = (0.02, 0.1, 0.2, 0.3, 0.4, 0.55, 0.75)


class Refitter:
    """Refits candidates of one network from its calibration record.

    ``ridge`` is relative to the mean diagonal of G. ``selection`` ranks single weights where a policy prunes them. With
    ``inputs='original'`` a layer's weights depend only on what of it is kept, and are remembered by that.
    """

    def __init__(
        self,
        calibration: Calibration,
        *,
        ridge: float = 0.05,
        selection: Selection = "error",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.calibration, self.ridge, self.selection, self.dtype = (
            calibration,
            ridge,
            selection,
            dtype,
        )
        self._grams: dict[str, tuple[Tensor, Tensor]] = {}
        self._solved: dict[tuple[str, bytes, bytes, float], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def refit(
        self,
        candidate: fx.GraphModule,
        kept: BoolArray,
        *,
        densities: Mapping[str, float] | None = None,
        inputs: Inputs = "pruned",
        everywhere: bool = False,
    ) -> None:
        """Replace the weights of the layers of ``candidate`` that lost inputs (``everywhere``: of all layers but the first).

        ``densities`` gives the share of single weights to keep, per layer.
        """
        densities = densities or {}
        if inputs == "pruned":
            SequentialRefit(self, candidate, kept, densities, everywhere).run()
            return
        for layer in self.calibration.places:
            if self.wants(candidate, layer, kept, everywhere) or layer in densities:
                self._refit_on_original(candidate, layer, kept, densities.get(layer, 1.0))

    def gram(self, layer: str) -> tuple[Tensor, Tensor]:
        """G of the original inputs (centred, per row), and their mean."""
        if not self._grams:
            self._record_grams()
        return self._grams[layer]

    def can_solve(self, layer: str) -> bool:
        """Whether a layer of the network can be refitted at all."""
        return layer in self.calibration.places and solvable(
            self.calibration.network.module.get_submodule(layer)
        )

    def wants(
        self, candidate: fx.GraphModule, layer: str, kept: BoolArray, everywhere: bool
    ) -> bool:
        """Whether a layer is to be refitted because of the channels it lost."""
        if not solvable(candidate.get_submodule(layer)):
            return False
        slot = self.calibration.network.slot_by_name[layer]
        lost = len(kept_channels(slot.in_units, kept)) < len(slot.in_units)
        return lost or (everywhere and layer != self.calibration.network.layers[0].name)

    def solve(
        self,
        layer: str,
        gram: Tensor,
        cross: Tensor,
        start: Tensor,
        *,
        kept: BoolArray,
        density: float,
    ) -> Tensor:
        """Weights (out, in) for given G and C, sparse if ``density`` is below 1."""
        if density >= 1:
            return least_squares(gram, cross, start, self.ridge)
        if self.selection == "magnitude":
            weight = least_squares(gram, cross, start, self.ridge)
            return least_squares(
                gram, cross, weight, self.ridge, keep_largest(weight.abs(), density)
            )
        rows = kept_channels(self.calibration.network.slot_by_name[layer].out_units, kept)
        sensitivity = self.calibration.sensitivity[layer][torch.from_numpy(rows)]
        mask = least_error_mask(gram, cross, start, sensitivity, keep=density, ridge=self.ridge)
        return least_squares(gram, cross, start, self.ridge, mask)

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, for each share of single weights kept; 0 where all are.

        Measured with mask and refit on the original inputs at a few shares, log-linear between them.
        """
        gram, _ = self.gram(layer)
        full = as_matrix(weight_of(self.calibration.network.module.get_submodule(layer)))
        everything = np.ones(self.calibration.network.units, dtype=np.bool_)
        sensitivity = self.calibration.sensitivity[layer]
        measured = []
        for share in _SHARES:
            change = (
                self.solve(layer, gram, gram @ full.T, full, kept=everything, density=share) - full
            )
            measured.append(float((change @ gram * change).sum(1) @ sensitivity))
        floor = 1e-3 * measured[-1] + 1e-30
        curve = np.exp(
            np.interp(keep, (*_SHARES, 1.0), np.log(np.maximum([*measured, floor], floor)))
        )
        return np.where(keep >= 1, 0.0, np.minimum.accumulate(curve))

    def install(self, candidate: fx.GraphModule, layer: str, weight: Tensor, shift: Tensor) -> None:
        """Give a layer new weights; the constant part goes into its bias, or into the batch norm behind it."""
        module = candidate.get_submodule(layer)
        replacement = {"weight": from_matrix(weight, weight_of(module))}
        if bias_of(module) is not None:
            replacement["bias"] = shift
        elif (norm := self.calibration.norms.get(layer)) is not None:
            moved = candidate.get_submodule(norm)
            candidate.set_submodule(
                norm,
                with_tensors(moved, {"running_mean": moved.get_buffer("running_mean") - shift}),
            )
        candidate.set_submodule(layer, with_tensors(module, replacement))

    def takes_shift(self, candidate: fx.GraphModule, layer: str) -> bool:
        """Whether there is a place for the constant part of a fit."""
        return (
            bias_of(candidate.get_submodule(layer)) is not None or layer in self.calibration.norms
        )

    def _record_grams(self) -> None:
        module = self.calibration.network.module
        readers: dict[str, list[str]] = {}
        for node in module.graph.nodes:
            if node.op == "call_module" and node.target in self.calibration.places:
                readers.setdefault(node.all_input_nodes[0].name, []).append(str(node.target))

        def record(node: fx.Node, value: Any) -> None:
            for name in readers.get(node.name, ()):
                layer = module.get_submodule(name)
                if solvable(layer):
                    x = self.calibration.windows(name, layer, value)
                    mean = x.mean(0) if self.takes_shift(module, name) else torch.zeros(x.shape[1])
                    x = x - mean
                    self._grams[name] = (x.T @ x / len(x), mean)

        walk(module, self.calibration.inputs, record)

    def _refit_on_original(
        self, candidate: fx.GraphModule, layer: str, kept: BoolArray, density: float
    ) -> None:
        if not self.can_solve(layer):
            return
        slot = self.calibration.network.slot_by_name[layer]
        incoming, outgoing = kept_channels(slot.in_units, kept), kept_channels(slot.out_units, kept)
        key = (layer, incoming.tobytes(), outgoing.tobytes(), density)
        if key not in self._solved:
            gram, mean = self.gram(layer)
            original = self.calibration.network.module.get_submodule(layer)
            columns = columns_of(incoming, len(slot.in_units), weight_of(original)[0, 0].numel())
            rows = torch.from_numpy(outgoing)
            full = as_matrix(weight_of(original))[rows]
            reduced, cross = gram[columns][:, columns], gram[columns] @ full.T
            weight = self.solve(layer, reduced, cross, full[:, columns], kept=kept, density=density)
            shift = full @ mean - weight @ mean[columns]
            bias = bias_of(original)
            if bias is not None:
                shift = shift + bias[rows]
            self._solved[key] = (weight, shift)
        self.install(candidate, layer, *self._solved[key])
