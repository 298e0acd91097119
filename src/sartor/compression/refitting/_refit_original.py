"""Refitting on the inputs that the original network gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.compression.modules import bias_of, weight_of
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._matrix import as_matrix, columns_of
from sartor.compression.slicing import kept_channels
from sartor.graph import walk
from sartor.machine import BoolArray, FloatArray, IntArray

#: Shares of single weights kept at which errors are measured.
_SHARES = (0.02, 0.1, 0.2, 0.3, 0.4, 0.55, 0.75)


class OriginalRefit:
    """Refits layers on the original's inputs, gathered once as one Gram matrix per layer.

    A layer's weights then depend only on what of it is kept, and are remembered by that.
    """

    def __init__(self, solver: LayerSolver) -> None:
        self.solver = solver
        self._grams: dict[str, tuple[Tensor, Tensor]] = {}
        self._solved: dict[tuple[str, bytes, bytes, float], tuple[Tensor, Tensor]] = {}

    def gram(self, layer: str) -> tuple[Tensor, Tensor]:
        """G of the original inputs (centred, per row), and their mean."""
        if not self._grams:
            self._record_grams()
        return self._grams[layer]

    def refit(self, candidate: fx.GraphModule, layer: str, kept: BoolArray, density: float) -> None:
        """Replace the weights of a layer, if it can be solved."""
        if not self.solver.can_solve(layer):
            return
        slot = self.solver.calibration.network.slot_by_name[layer]
        incoming = kept_channels(slot.in_units, kept)
        outgoing = kept_channels(slot.out_units, kept)
        key = (layer, incoming.tobytes(), outgoing.tobytes(), density)
        if key not in self._solved:
            self._solved[key] = self._solve(layer, incoming, outgoing, kept, density)
        weight, shift = self._solved[key]
        self.solver.install(candidate, layer, weight, shift)

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, for each share of single weights.

        Measured with mask and refit on the original inputs at a few shares, log-linear between
        them; 0 where all weights are kept.
        """
        measured = [self._weight_error(layer, share) for share in _SHARES]
        floor = 1e-3 * measured[-1] + 1e-30
        errors = np.maximum([*measured, floor], floor)
        shares = (*_SHARES, 1.0)
        curve = np.exp(np.interp(keep, shares, np.log(errors)))
        falling = np.minimum.accumulate(curve)
        return np.where(keep >= 1, 0.0, falling)

    def _weight_error(self, layer: str, share: float) -> float:
        calibration = self.solver.calibration
        gram, _ = self.gram(layer)
        full = as_matrix(weight_of(calibration.network.module.get_submodule(layer)))
        everything = np.ones(calibration.network.units, dtype=np.bool_)
        sparse = self.solver.solve(layer, gram, gram @ full.T, full, kept=everything, density=share)
        change = sparse - full
        return float((change @ gram * change).sum(1) @ calibration.sensitivity[layer])

    def _solve(
        self, layer: str, incoming: IntArray, outgoing: IntArray, kept: BoolArray, density: float
    ) -> tuple[Tensor, Tensor]:
        """Weights (out, in) and shift (out,) of a layer with the given channels left."""
        gram, mean = self.gram(layer)
        calibration = self.solver.calibration
        original = calibration.network.module.get_submodule(layer)
        slot = calibration.network.slot_by_name[layer]
        taps = weight_of(original)[0, 0].numel()
        columns = columns_of(incoming, len(slot.in_units), taps)
        rows = torch.from_numpy(outgoing)
        full = as_matrix(weight_of(original))[rows]
        reduced = gram[columns][:, columns]
        cross = gram[columns] @ full.T
        start = full[:, columns]
        weight = self.solver.solve(layer, reduced, cross, start, kept=kept, density=density)
        shift = full @ mean - weight @ mean[columns]
        bias = bias_of(original)
        if bias is not None:
            shift = shift + bias[rows]
        return weight, shift

    def _record_grams(self) -> None:
        calibration = self.solver.calibration
        module = calibration.network.module
        readers: dict[str, list[str]] = {}
        for node in module.graph.nodes:
            if node.op == "call_module" and self._is_solved(str(node.target)):
                source = node.all_input_nodes[0].name
                readers.setdefault(source, []).append(str(node.target))

        def visit(node: fx.Node, value: Any) -> None:
            for name in readers.get(node.name, ()):
                x = calibration.windows(name, module.get_submodule(name), value)
                self._grams[name] = self._gram_of(name, x)

        walk(module, calibration.inputs, visit)

    def _is_solved(self, name: str) -> bool:
        return name in self.solver.calibration.places and self.solver.can_solve(name)

    def _gram_of(self, layer: str, x: Tensor) -> tuple[Tensor, Tensor]:
        module = self.solver.calibration.network.module
        mean = torch.zeros(x.shape[1])
        if self.solver.takes_shift(module, layer):
            mean = x.mean(0)
        x = x - mean
        return x.T @ x / len(x), mean
