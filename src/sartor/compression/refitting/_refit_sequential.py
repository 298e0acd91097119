"""Refitting on the inputs that the pruned network itself gives, in the order of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx

from sartor.compression.modules import BatchNorm, affine, weight_of
from sartor.compression.refitting._calibration import obstacle
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._least_squares import least_squares_of_few
from sartor.compression.refitting._matrix import as_matrix
from sartor.compression.slicing import kept_channels
from sartor.graph import Walk
from sartor.machine import BoolArray

#: Scales of batch norms below this are not divided by.
_SMALLEST_SCALE = 1e-6


class SequentialRefit(Walk):
    """One walk over a candidate that refits each layer before it is called.

    So each is fitted on the inputs that the layers before it now give. What a layer should give
    may be needed of a shortcut that the graph has later: its value is computed on demand.
    """

    def __init__(
        self,
        solver: LayerSolver,
        candidate: fx.GraphModule,
        kept: BoolArray,
        *,
        densities: Mapping[str, float],
        everywhere: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(candidate, solver.calibration.inputs)
        self.solver = solver
        self.calibration = solver.calibration
        self.candidate = candidate
        self.kept = kept
        self.densities = densities
        self.everywhere = everywhere
        self.dtype = dtype
        self._node_by_name = {node.name: node for node in candidate.graph.nodes}

    def call(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one node; a layer is refitted first."""
        name = str(node.target)
        if node.op == "call_module" and self._is_wanted(name):
            inputs = self.value(node.all_input_nodes[0])
            self._refit(name, inputs)

        # Weights stay in fp32: only what runs in the context is computed in fewer bits.
        is_reduced = self.dtype != torch.float32
        with torch.autocast("cpu", self.dtype, enabled=is_reduced):
            return super().call(node, args, kwargs)

    def _is_wanted(self, layer: str) -> bool:
        if layer not in self.calibration.places:
            return False
        is_wanted = self.solver.is_wanted(
            self.candidate,
            layer,
            kept=self.kept,
            everywhere=self.everywhere,
        )
        if is_wanted:
            return True

        # One that lost no channels still has single weights to choose.
        density = self.densities.get(layer, 1.0)
        if density >= 1:
            return False

        module = self.candidate.get_submodule(layer)
        return not obstacle(module)

    def _refit(self, layer: str, inputs: Tensor) -> None:
        module = self.candidate.get_submodule(layer)
        target = self._target(layer)
        windows = self.calibration.windows(layer, module, inputs)
        x, y = _finite_samples(windows, target)

        # Without a place for a constant the fit has to go through zero.
        mean_x = x.new_zeros(x.shape[1])
        mean_y = y.new_zeros(y.shape[1])
        if self.solver.takes_shift(self.candidate, layer):
            mean_x = x.mean(0)
            mean_y = y.mean(0)

        centred_x = x - mean_x
        centred_y = y - mean_y
        weight = self._solve(layer, centred_x, centred_y)

        shift = mean_y - weight @ mean_x
        self.solver.install(self.candidate, layer, weight, shift)

    def _solve(self, layer: str, x: Tensor, y: Tensor) -> Tensor:
        """Weights (out, in) with which samples (n, in) come closest to (n, out)."""
        module = self.candidate.get_submodule(layer)
        start = as_matrix(weight_of(module))
        density = self.densities.get(layer, 1.0)
        samples, inputs = x.shape
        if density >= 1 and samples < inputs:
            return least_squares_of_few(x, y, start, self.solver.ridge)

        gram = x.T @ x
        cross = x.T @ y
        return self.solver.solve(
            layer,
            gram,
            cross,
            start,
            kept=self.kept,
            density=density,
        )

    def _target(self, layer: str) -> Tensor:
        """What the layer should give: the original's output, (rows, out channels).

        Before a residual addition, corrected by what its shortcut now gives instead.
        """
        slot = self.calibration.network.slot_by_name[layer]
        outgoing = kept_channels(slot.out_units, self.kept)
        channels = torch.from_numpy(outgoing)

        original = self.calibration.targets[layer][:, channels]
        join = self.calibration.joins.get(layer)
        if join is None:
            return original

        other = self._node_by_name[join.other]
        shortcut = self.calibration.outputs(layer, self.value(other))

        total = self.calibration.sums[layer][:, channels]
        missing = total - shortcut
        if join.norm is None:
            return missing

        norm = self.candidate.get_submodule(join.norm)
        return _before_norm(cast("BatchNorm", norm), missing, original)


def _before_norm(norm: BatchNorm, after: Tensor, instead: Tensor) -> Tensor:
    """What a batch norm turns into ``after``; ``instead`` in channels whose scale is too small."""
    scale, shift = affine(norm)
    is_usable = scale.abs() > _SMALLEST_SCALE
    divisor = torch.where(is_usable, scale, 1)
    inverse = (after - shift) / divisor
    return torch.where(is_usable, inverse, instead)


def _finite_samples(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (n, …) with zeros in place of those that a broken candidate cannot compute."""
    total = x.sum(1) + y.sum(1)
    is_finite = total.isfinite()
    if is_finite.all():
        return x, y

    # Zeros, because rows that are left out would change the number of samples.
    chosen = is_finite[:, None]
    return torch.where(chosen, x, 0.0), torch.where(chosen, y, 0.0)
