"""Refitting on the inputs that the pruned network itself gives, in the order of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, fx

from sartor.compression.modules import BatchNorm, affine, weight_of
from sartor.compression.refitting._calibration import groups_of, obstacle
from sartor.compression.refitting._fits import Fit, Fits
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._least_squares import least_squares_of_few
from sartor.compression.refitting._matrix import as_matrix, in_groups
from sartor.compression.refitting._normal_equations import NormalEquations
from sartor.compression.refitting._targets import Target, Targets
from sartor.compression.refitting._values import PartedValues
from sartor.graph import needed
from sartor.machine import BoolArray, give_freed_memory_back

#: Scales of batch norms below this are not divided by.
_SMALLEST_SCALE = 1e-6


class SequentialRefit:
    """Refits the layers of a candidate in order, each before anything behind it is computed.

    So each is fitted on the inputs that the layers before it now give. What a layer should give
    may be needed of a shortcut that the graph has later: layers on that are refitted first. What
    an earlier candidate had alike up to some layer is not solved again.
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
        targets: Targets,
        fits: Fits,
        thrifty: bool = False,
    ) -> None:
        self.solver = solver
        self.calibration = solver.calibration
        self.targets = targets
        self.fits = fits
        self.candidate = candidate
        self.kept = kept
        self.densities = densities
        self.everywhere = everywhere
        self.thrifty = thrifty
        self.values = PartedValues(candidate, self.calibration.parts, dtype)
        self._node_by_name = {node.name: node for node in candidate.graph.nodes}
        self._waiting: dict[fx.Node, str] = {}

    def run(self) -> None:
        """Refit all that is wanted."""
        for node in self.candidate.graph.nodes:
            name = str(node.target)
            if node.op == "call_module" and self._is_wanted(name):
                self._waiting[node] = name

        while self._waiting:
            first = next(iter(self._waiting))
            self._refit(first)

    def _is_wanted(self, layer: str) -> bool:
        if layer not in self.calibration.places:
            return False

        # One that lost no channels still has single weights to choose.
        if self.densities.get(layer, 1.0) < 1:
            module = self.candidate.get_submodule(layer)
            return not obstacle(module)

        return self.solver.is_wanted(
            self.candidate,
            layer,
            kept=self.kept,
            everywhere=self.everywhere,
        )

    def _refit(self, node: fx.Node) -> None:
        layer = self._waiting.pop(node)
        shortcut = self._shortcut(layer)
        if shortcut is not None:
            self._refit_before(shortcut)

        key = self.fits.key(layer, self.kept, self.densities, everywhere=self.everywhere)
        fit = self.fits.get(key)
        if fit is None:
            fit = self._fit(layer, node.all_input_nodes[0], shortcut)
            self.fits.put(key, fit)
        self.solver.install(self.candidate, layer, *fit)

    def _fit(self, layer: str, source: fx.Node, shortcut: fx.Node | None) -> Fit:
        """Weights and shift from what a layer reads, and what is added to what it gives."""
        later = self._asked_later()
        samples = self._samples(layer, source, shortcut, later)
        fit = self._solve(layer, samples)
        self.values.forget_all_but(later)
        if self.thrifty:
            give_freed_memory_back()
        return fit

    def _asked_later(self) -> list[fx.Node]:
        """Nodes whose values the layers need that are still to be refitted."""
        asked = []
        for waiting, layer in self._waiting.items():
            asked.append(waiting.all_input_nodes[0])
            shortcut = self._shortcut(layer)
            if shortcut is not None:
                asked.append(shortcut)
        return asked

    def _shortcut(self, layer: str) -> fx.Node | None:
        """What the output of a layer is added to, if it is."""
        join = self.calibration.joins.get(layer)
        return None if join is None else self._node_by_name[join.other]

    def _refit_before(self, node: fx.Node) -> None:
        before = needed([node])
        for waiting in list(self._waiting):
            if waiting in before and waiting in self._waiting:
                self._refit(waiting)

    def _solve(self, layer: str, samples: Iterator[tuple[Tensor, Tensor]]) -> Fit:
        """Weights (out, in) and shift (out,) with which a layer comes closest to its targets."""
        module = self.candidate.get_submodule(layer)
        start = as_matrix(weight_of(module))
        outputs, inputs = start.shape
        groups = groups_of(module)
        if groups > 1:
            start = start.view(groups, outputs // groups, inputs)

        # Without a place for a constant the fit has to go through zero.
        centred = self.solver.takes_shift(self.candidate, layer)
        density = self.densities.get(layer, 1.0)
        is_few = self.calibration.samples(layer) < inputs
        if is_few and groups == 1 and density >= 1:
            return _fit_few(samples, start, self.solver.ridge, centred=centred)

        equations = NormalEquations.of_parts(samples, centred=centred)
        weight = self.solver.solve(
            layer,
            equations.gram,
            equations.cross,
            start,
            kept=self.kept,
            density=density,
        )
        return weight.view(outputs, inputs), equations.shift(weight).flatten()

    def _samples(
        self,
        layer: str,
        source: fx.Node,
        shortcut: fx.Node | None,
        later: list[fx.Node],
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """What a layer reads (n, in) and should give (n, out), for each part of the images.

        With one more axis in front if the layer has groups.
        """
        module = self.candidate.get_submodule(layer)
        groups = groups_of(module)
        asked = [source] if shortcut is None else [source, shortcut]

        # Strict also lets both run to their ends, where they keep what they gave.
        targets = self.targets.of(layer, list(self._waiting.values()))
        for values, target in zip(self.values.of(asked, later), targets, strict=True):
            inputs = values[0]
            other = None if shortcut is None else values[1]
            windows = self.calibration.windows(layer, module, inputs)
            wanted = self._wanted(layer, target, other)
            x, y = _finite_samples(windows, wanted)
            if groups > 1:
                taps = weight_of(module)[0, 0].numel()
                x = in_groups(x, taps, groups)
                y = in_groups(y, 1, groups)
            yield x, y

    def _wanted(self, layer: str, target: Target, other: Tensor | None) -> Tensor:
        """What the layer should give: the original's output, (rows, out channels).

        Before a residual addition, corrected by what its shortcut now gives instead.
        """
        slot = self.calibration.network.slot_by_name[layer]
        outgoing = slot.outgoing(self.kept)
        channels = torch.from_numpy(outgoing)

        original = target[0][:, channels]
        join = self.calibration.joins.get(layer)
        if join is None or other is None:
            return original

        total = target[1][:, channels]
        missing = total - self.calibration.outputs(layer, other)
        if join.norm is None:
            return missing

        norm = self.candidate.get_submodule(join.norm)
        return _before_norm(cast("BatchNorm", norm), missing, original)


def _fit_few(
    samples: Iterator[tuple[Tensor, Tensor]], start: Tensor, ridge: float, *, centred: bool
) -> Fit:
    """Weights and shift where there are fewer samples than inputs."""
    parts = list(samples)
    x = torch.cat([part for part, _ in parts])
    y = torch.cat([part for _, part in parts])

    mean_x = x.new_zeros(x.shape[1])
    mean_y = y.new_zeros(y.shape[1])
    if centred:
        mean_x = x.mean(0)
        mean_y = y.mean(0)

    weight = least_squares_of_few(x - mean_x, y - mean_y, start, ridge)
    return weight, mean_y - weight @ mean_x


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
