"""Refitting: the kept weights are solved anew so that each layer gives what the original gave.

Least squares on sampled positions through its normal equations (G = XᵀX, C = XᵀY): the answer of
He et al. (2017) and AMC, without stacking samples. Three refinements: the inputs may come from
the already pruned network, so that later layers mend what earlier ones broke; a layer that ends
in a residual addition is fitted to the sum, so that it also mends its shortcut; and the ridge
pulls towards the current weights instead of towards zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, fx

from sartor.compression._options import Selection
from sartor.compression.refitting._calibration import Calibration, groups_of
from sartor.compression.refitting._fits import Fits
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._refit_original import OriginalRefit
from sartor.compression.refitting._refit_sequential import SequentialRefit
from sartor.compression.refitting._targets import Targets, targets_of
from sartor.machine import BoolArray, FloatArray

#: On which inputs layers are refitted.
Inputs = Literal["original", "pruned"]


class Refitter:
    """Refits candidates of one network from its calibration record.

    ``ridge`` is relative to the mean diagonal of G. ``selection`` ranks single weights where a
    policy prunes them. Candidates run in ``dtype``; the fits are computed in float32. One that is
    ``thrifty`` gives freed memory back after every layer, which takes a sixth longer.
    """

    def __init__(
        self,
        calibration: Calibration,
        *,
        ridge: float = 0.05,
        selection: Selection = "error",
        dtype: torch.dtype = torch.float32,
        thrifty: bool = False,
    ) -> None:
        self.calibration = calibration
        self.ridge = ridge
        self.dtype = dtype
        self.thrifty = thrifty
        self._solver = LayerSolver(calibration, ridge, selection)
        self._original = OriginalRefit(self._solver)
        self._fits = Fits(calibration)

    @cached_property
    def _targets(self) -> Targets:
        return targets_of(self.calibration)

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
        """Replace the weights of the layers of ``candidate`` that lost inputs.

        ``kept`` has one flag per unit; ``densities`` gives the share of single weights to keep,
        per layer. ``everywhere``: all layers but the first are refitted.
        """
        densities = densities or {}
        if inputs == "pruned":
            SequentialRefit(
                self._solver,
                candidate,
                kept,
                densities=densities,
                everywhere=everywhere,
                dtype=self.dtype,
                targets=self._targets,
                fits=self._fits,
                thrifty=self.thrifty,
            ).run()
            return

        for layer in self.calibration.places:
            is_wanted = self._solver.is_wanted(candidate, layer, kept, everywhere)
            if is_wanted or layer in densities:
                density = densities.get(layer, 1.0)
                self._original.refit(candidate, layer, kept, density)

    def gram(self, layer: str) -> tuple[Tensor, Tensor]:
        """G of the original inputs (centred, per row), and their mean."""
        return self._original.gram(layer)

    def release(self) -> None:
        """Let go of what is kept for the next candidate; fits stay the same."""
        self.__dict__.pop("_targets", None)
        self._fits = Fits(self.calibration)

    def can_solve(self, layer: str) -> bool:
        """Whether a layer of the original can be refitted at all."""
        return self._solver.can_solve(layer)

    def not_refitted(self, densities: Mapping[str, float], inputs: Inputs) -> dict[str, str]:
        """Layers whose weights `refit` leaves as they are, with the reason."""
        network = self.calibration.network
        left = {}
        for layer, reason in self.calibration.obstacles.items():
            module = network.module.get_submodule(layer)
            # What stands beside each other is solved by itself, if no single weights are chosen.
            is_solved = groups_of(module) > 1 and layer in self.calibration.places
            if inputs == "pruned" and is_solved and densities.get(layer, 1.0) >= 1:
                continue
            left[layer] = reason
        return left

    def weight_errors(self, layer: str, keep: FloatArray) -> FloatArray:
        """Error at a layer's output, weighted by sensitivity, for each share of weights kept."""
        return self._original.weight_errors(layer, keep)
