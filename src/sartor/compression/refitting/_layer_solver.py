"""One layer at a time: whether it is solved anew, with which weights, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from sartor.compression._options import Selection
from sartor.compression.modules import bias_of, weight_of, with_tensors
from sartor.compression.refitting._calibration import Calibration, groups_of, obstacle
from sartor.compression.refitting._least_squares import least_squares
from sartor.compression.refitting._masks import keep_largest, least_error_mask
from sartor.compression.refitting._matrix import from_matrix
from sartor.machine import BoolArray, solving_device


@dataclass(frozen=True, eq=False)
class LayerSolver:
    """Solves single layers of candidates.

    Attributes:
        calibration: What is known of the original.
        ridge: Pull towards the present weights, relative to the mean diagonal of G.
        selection: What ranks single weights, where a policy prunes them.
    """

    calibration: Calibration
    ridge: float
    selection: Selection

    def can_solve(self, layer: str) -> bool:
        """Whether a layer of the original can be refitted at all."""
        return layer not in self.calibration.obstacles

    def is_wanted(
        self, candidate: fx.GraphModule, layer: str, kept: BoolArray, everywhere: bool
    ) -> bool:
        """Whether a layer is to be refitted because of the channels that were removed.

        It lost inputs itself, or (``everywhere``) layers before it were changed. Grouped layers are
        wanted only then: what they lose, they lose as a whole.
        """
        module = candidate.get_submodule(layer)
        is_grouped = groups_of(module) != 1
        if is_grouped and not everywhere:
            return False
        if obstacle(module) and not is_grouped:
            return False

        # Nothing stands before the first layer that could have changed.
        network = self.calibration.network
        first = network.layers[0]
        if everywhere and layer != first.name:
            return True

        slot = network.slot_by_name[layer]
        incoming = slot.incoming(kept)
        return len(incoming) < len(slot.in_units)

    def takes_shift(self, candidate: fx.GraphModule, layer: str) -> bool:
        """Whether there is a place for the constant part of a fit."""
        has_bias = bias_of(candidate.get_submodule(layer)) is not None
        return has_bias or layer in self.calibration.norms

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
        """Weights (…, out, in) for G = XᵀX and C = XᵀY, sparse if ``density`` is below 1."""
        if density >= 1:
            return least_squares(gram, cross, start, self.ridge)

        there = solving_device(gram.device)
        sparse = self._sparse(
            layer,
            gram=gram.to(there),
            cross=cross.to(there),
            start=start.to(there),
            kept=kept,
            density=density,
        )
        return sparse.to(gram.device)

    def _sparse(
        self,
        layer: str,
        *,
        gram: Tensor,
        cross: Tensor,
        start: Tensor,
        kept: BoolArray,
        density: float,
    ) -> Tensor:
        if self.selection == "magnitude":
            dense = least_squares(gram, cross, start, self.ridge)
            mask = keep_largest(dense.abs(), density)
            return least_squares(gram, cross, dense, self.ridge, mask)

        slot = self.calibration.network.slot_by_name[layer]
        outgoing = slot.outgoing(kept)
        rows = torch.from_numpy(outgoing)
        sensitivity = self.calibration.sensitivity[layer][rows]
        mask = least_error_mask(
            gram,
            cross,
            start,
            sensitivity=sensitivity.to(gram.device),
            keep=density,
            ridge=self.ridge,
        )
        return least_squares(gram, cross, start, self.ridge, mask)

    def install(self, candidate: fx.GraphModule, layer: str, weight: Tensor, shift: Tensor) -> None:
        """Give a layer new weights, (out, in).

        The constant part, ``shift`` (out,), goes into its bias or into the batch norm behind it.
        """
        module = candidate.get_submodule(layer)
        present = weight_of(module)
        reshaped = from_matrix(weight, present)
        replacement = {"weight": reshaped}

        norm = self.calibration.norms.get(layer)
        if bias_of(module) is not None:
            replacement["bias"] = shift
        elif norm is not None:
            # A norm takes its mean away: less of it is more at the output.
            present_norm = candidate.get_submodule(norm)
            mean = present_norm.get_buffer("running_mean") - shift
            moved = with_tensors(present_norm, {"running_mean": mean})
            candidate.set_submodule(norm, moved)

        refitted = with_tensors(module, replacement)
        candidate.set_submodule(layer, refitted)
