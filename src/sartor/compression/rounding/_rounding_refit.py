"""Rounding the weights of a quantized candidate, layer by layer in the order of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import bias_of, weight_of, with_tensors
from sartor.compression.quantizing import QuantizedWeight
from sartor.compression.refitting import (
    Calibration,
    NormalEquations,
    PartedValues,
    as_matrix,
    from_matrix,
    groups_of,
    in_groups,
    least_squares,
)
from sartor.compression.rounding._compensated import round_compensated
from sartor.compression.rounding._fitting_range import fitting_range
from sartor.graph import needed

#: Rounding to as many bits or more loses nothing that could be won back.
_FINE_BITS = 8
#: Of a step, how far a number may be from the one that it is rounded to; a half is the end.
_WITHIN = 0.49


@dataclass(frozen=True)
class _Step:
    """A layer to be rounded.

    Attributes:
        node: Its call in the candidate.
        wanted: What it is to give, in the network before anything was rounded: its output, or the
            sum that it ends in.
        asked: What it reads in the candidate, and what its output is added to if the sum is wanted.
    """

    node: fx.Node
    wanted: fx.Node
    asked: list[fx.Node]


class RoundingRefit:
    """Chooses ranges and whole numbers of the weights of a quantized candidate.

    Each layer is fitted on what the rounded layers before it give, to what it gave before anything
    was rounded; then its weights are rounded, one input after the other (`round_compensated`).
    What the rounding of activations costs is so made up for, too, and by a layer that ends in a
    residual addition what its shortcut lost.

    Args:
        calibration: Places in the outputs of every layer, and images.
        folded: The candidate before it was quantized.
        candidate: The candidate, whose modules are replaced.
        ridge: Pull towards the weights as they are, as in `least_squares`.
    """

    def __init__(
        self,
        calibration: Calibration,
        folded: fx.GraphModule,
        candidate: fx.GraphModule,
        *,
        ridge: float,
    ) -> None:
        self.calibration = calibration
        self.folded = folded
        self.candidate = candidate
        self.ridge = ridge
        self._wanted = PartedValues(folded, calibration.parts)
        self._given = PartedValues(candidate, calibration.parts)

    @torch.no_grad()
    def run(self) -> None:
        """Round all layers that have fewer bits than rounding loses nothing at."""
        steps = self._steps()
        for number, step in enumerate(steps):
            self._round(step, later=steps[number + 1 :])

    def _steps(self) -> list[_Step]:
        waiting = [node for node in self.candidate.graph.nodes if self._is_coarse(node)]
        given = {node.name: node for node in self.candidate.graph.nodes}
        wanted = {node.name: node for node in self.folded.graph.nodes}

        steps = []
        while waiting:
            node = waiting.pop(0)
            step = _Step(node, wanted[node.name], node.all_input_nodes)
            join = self.calibration.joins.get(str(node.target))
            if join is not None:
                other = _summand_beside(node, given[join.add])
                # What is rounded later is not known yet.
                if not needed([other]).intersection(waiting):
                    step = _Step(node, wanted[join.add], [*node.all_input_nodes, other])
            steps.append(step)
        return steps

    def _is_coarse(self, node: fx.Node) -> bool:
        """Whether the rounding of a layer is worth choosing, and can be chosen."""
        layer = str(node.target)
        if node.op != "call_module" or layer not in self.calibration.places:
            return False
        module = self.candidate.get_submodule(layer)
        if not isinstance(module, QuantizedWeight) or module.weight_bits >= _FINE_BITS:
            return False
        return layer not in self.calibration.obstacles or groups_of(module) > 1

    def _round(self, step: _Step, later: list[_Step]) -> None:
        layer = str(step.node.target)
        module = self.candidate.get_submodule(layer)
        asked_later = [node for other in later for node in other.asked]
        wanted_later = [other.wanted for other in later]

        given = self._given.of(step.asked, asked_later)
        targets = self._wanted.of([step.wanted], wanted_later)
        samples = self._samples(layer, module, zip(given, targets, strict=True))
        centred = bias_of(module) is not None
        equations = NormalEquations.of_parts(samples, centred=centred)
        self.candidate.set_submodule(layer, _rounded(module, equations, self.ridge))

        self._given.forget_all_but(asked_later)
        self._wanted.forget_all_but(wanted_later)

    def _samples(
        self,
        layer: str,
        module: nn.Module,
        parts: Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]],
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """What a layer reads and should give, part by part, with an axis of its groups in front."""
        groups = groups_of(module)
        taps = weight_of(module)[0, 0].numel()
        for (inputs, *shortcuts), (wanted,) in parts:
            outputs = wanted - sum(shortcuts)
            x = in_groups(self.calibration.windows(layer, module, inputs), taps, groups)
            y = in_groups(self.calibration.outputs(layer, outputs), 1, groups)
            yield x, y


def _summand_beside(node: fx.Node, addition: fx.Node) -> fx.Node:
    """What the output of a layer is added to."""
    (other,) = (item for item in addition.all_input_nodes if node not in needed([item]))
    return other


def _rounded(module: nn.Module, equations: NormalEquations, ridge: float) -> nn.Module:
    """A layer fitted to its equations, with its weights on whole numbers of steps."""
    quantized = cast("QuantizedWeight", module)
    present = weight_of(module).detach()
    groups = groups_of(module)
    matrix = as_matrix(present)
    start = matrix.view(groups, len(matrix) // groups, -1)

    fitted = start
    # Where single weights were pruned, the others were fitted already.
    if (start != 0).all():
        fitted = least_squares(equations.gram, equations.cross, start, ridge)

    parts = []
    for weight, gram in zip(fitted, equations.gram, strict=True):
        bits, scheme = quantized.weight_bits, quantized.scheme
        scale, zero_point = fitting_range(weight, gram.diagonal(), bits, scheme)
        rounded = round_compensated(weight, gram, scale, zero_point, quantized.limits)
        parts.append((rounded, scale, zero_point))
    rounded, scale, zero_point = (torch.stack(items) for items in zip(*parts, strict=True))

    # Where they were, as far as they are rounded so: training goes on from there.
    reach = _WITHIN * scale[..., None]
    real = fitted.clamp(rounded - reach, rounded + reach)
    tensors = {
        "weight": from_matrix(real.view_as(matrix), present),
        "weight_scale": scale.flatten(),
        "weight_zero_point": zero_point.flatten(),
    }
    if bias_of(module) is not None:
        tensors["bias"] = equations.shift(rounded).flatten()
    return with_tensors(module, tensors)
