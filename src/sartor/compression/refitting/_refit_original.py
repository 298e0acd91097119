"""Refitting on the inputs that the original network gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.compression.modules import bias_of, weight_of
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._matrix import as_matrix, columns_of
from sartor.compression.refitting._normal_equations import NormalEquations
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

        network = self.solver.calibration.network
        slot = network.slot_by_name[layer]
        incoming = slot.incoming(kept)
        outgoing = slot.outgoing(kept)

        # Arrays cannot be looked up, their bytes can.
        key = (layer, incoming.tobytes(), outgoing.tobytes(), density)
        if key not in self._solved:
            self._solved[key] = self._solve(
                layer,
                incoming=incoming,
                outgoing=outgoing,
                kept=kept,
                density=density,
            )
        weight, shift = self._solved[key]
        self.solver.install(candidate, layer, weight, shift)

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, for each share of single weights.

        Measured with mask and refit on the original inputs at a few shares, log-linear between
        them; 0 where all weights are kept.
        """
        measured = []
        for share in _SHARES:
            error = self._weight_error(layer, share)
            measured.append(error)

        # The logarithm of no error is infinite: the line to the right ends at a small one.
        floor = 1e-3 * measured[-1] + 1e-30
        errors = np.maximum([*measured, floor], floor)
        logarithms = np.log(errors)
        shares = (*_SHARES, 1.0)
        curve = np.exp(np.interp(keep, shares, logarithms))

        # Measured errors may rise a little where more is kept.
        falling = np.minimum.accumulate(curve)
        return np.where(keep >= 1, 0.0, falling)

    def _weight_error(self, layer: str, share: float) -> float:
        calibration = self.solver.calibration
        network = calibration.network
        module = network.module.get_submodule(layer)
        full = as_matrix(weight_of(module))

        gram, _ = self.gram(layer)
        cross = gram @ full.T
        everything = np.ones(network.units, dtype=np.bool_)
        sparse = self.solver.solve(
            layer,
            gram,
            cross,
            full,
            kept=everything,
            density=share,
        )

        change = sparse - full
        spread = change @ gram
        by_output = (spread * change).sum(1)
        sensitivity = calibration.sensitivity[layer]
        return float(by_output @ sensitivity)

    def _solve(
        self,
        layer: str,
        *,
        incoming: IntArray,
        outgoing: IntArray,
        kept: BoolArray,
        density: float,
    ) -> tuple[Tensor, Tensor]:
        """Weights (out, in) and shift (out,) of a layer with the given channels left."""
        network = self.solver.calibration.network
        original = network.module.get_submodule(layer)
        slot = network.slot_by_name[layer]

        weight = weight_of(original)
        taps = weight[0, 0].numel()
        columns = columns_of(incoming, len(slot.in_units), taps)
        rows = torch.from_numpy(outgoing)
        full = as_matrix(weight)[rows]

        gram, mean = self.gram(layer)
        read = gram[columns]
        fitted = self.solver.solve(
            layer,
            gram=read[:, columns],
            cross=read @ full.T,
            start=full[:, columns],
            kept=kept,
            density=density,
        )

        # What the removed inputs gave on average goes into the constant part.
        shift = full @ mean - fitted @ mean[columns]
        bias = bias_of(original)
        if bias is not None:
            shift = shift + bias[rows]
        return fitted, shift

    def _record_grams(self) -> None:
        calibration = self.solver.calibration
        module = calibration.network.module
        readers = self._readers(module)
        found: dict[str, NormalEquations] = {}

        def visit(node: fx.Node, value: Any) -> None:
            for name in readers.get(node.name, ()):
                layer = module.get_submodule(name)
                part = self._equations(name, calibration.windows(name, layer, value))
                found[name] = found[name].merged(part) if name in found else part

        for inputs in calibration.parts:
            walk(module, inputs, visit)
        for name, equations in found.items():
            # Per row, so that errors computed with it are means over samples.
            self._grams[name] = (equations.gram / equations.count, equations.mean_x)

    def _readers(self, module: fx.GraphModule) -> dict[str, list[str]]:
        """By node, the layers that read it and can be solved."""
        readers: dict[str, list[str]] = {}
        for node in module.graph.nodes:
            name = str(node.target)
            if node.op != "call_module" or not self._is_solved(name):
                continue

            source = node.all_input_nodes[0]
            readers.setdefault(source.name, []).append(name)
        return readers

    def _is_solved(self, name: str) -> bool:
        return name in self.solver.calibration.places and self.solver.can_solve(name)

    def _equations(self, layer: str, x: Tensor) -> NormalEquations:
        """Of what a layer reads; what it gives follows from its weights."""
        module = self.solver.calibration.network.module
        no_outputs = x.new_zeros(len(x), 0)
        return NormalEquations.of(
            x,
            no_outputs,
            centred=self.solver.takes_shift(module, layer),
        )
