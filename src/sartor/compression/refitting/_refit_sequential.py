"""Refitting on the inputs that the pruned network itself gives, in the order of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import affine, weight_of
from sartor.compression.refitting._calibration import as_matrix, solvable
from sartor.compression.refitting._least_squares import least_squares_of_few
from sartor.compression.slicing import kept_channels
from sartor.machine import BoolArray

if TYPE_CHECKING:
    from sartor.compression.refitting._refit_original import Refitter


class SequentialRefit:
    """One pass over a candidate: each layer is refitted on the inputs that the layers before it now give."""

    def __init__(
        self,
        refitter: Refitter,
        candidate: fx.GraphModule,
        kept: BoolArray,
        densities: Mapping[str, float],
        everywhere: bool,
    ) -> None:
        self.refitter, self.candidate, self.kept = refitter, candidate, kept
        self.densities, self.everywhere = densities, everywhere
        self.calibration = refitter.calibration
        self.runner = fx.Interpreter(candidate)
        self.values: dict[fx.Node, Any] = {}
        self.uses = {node: len(node.users) for node in candidate.graph.nodes}
        self.by_name = {node.name: node for node in candidate.graph.nodes}
        self.feed = iter(self.calibration.inputs)

    def run(self) -> None:
        for node in self.candidate.graph.nodes:
            self.value(node)

    def value(self, node: fx.Node) -> Any:
        """Value of a node, computed on demand: a residual sum may need its shortcut earlier than the trace has it."""
        if node in self.values:
            return self.values[node]
        if node.op == "placeholder":
            self.values[node] = next(self.feed, node.args[0] if node.args else None)
            return self.values[node]
        for source in node.all_input_nodes:
            self.value(source)
        if node.op == "call_module" and str(node.target) in self.calibration.places:
            self._refit(str(node.target), self.values[node.all_input_nodes[0]])
        args: Any = fx.node.map_arg(node.args, lambda n: self.values[n])
        kwargs: Any = fx.node.map_arg(node.kwargs, lambda n: self.values[n])
        with torch.autocast(
            "cpu", self.refitter.dtype, enabled=self.refitter.dtype != torch.float32
        ):
            if node.op == "call_module":
                result = self.candidate.get_submodule(str(node.target))(*args, **kwargs)
            else:
                result = getattr(self.runner, node.op)(node.target, args, kwargs)
        self.values[node] = result
        for source in node.all_input_nodes:
            self.uses[source] -= 1
            if not self.uses[source]:
                self.values[source] = None
        return result

    def _refit(self, layer: str, x: Tensor) -> None:
        refitter, candidate = self.refitter, self.candidate
        density = self.densities.get(layer, 1.0)
        module = candidate.get_submodule(layer)
        if not (
            refitter.wants(candidate, layer, self.kept, self.everywhere)
            or (density < 1 and solvable(module))
        ):
            return
        y = self._target(layer)
        x, y = _whole(self.calibration.windows(layer, module, x), y)
        centred = refitter.takes_shift(candidate, layer)
        mean_x = x.mean(0) if centred else torch.zeros(x.shape[1])
        mean_y = y.mean(0) if centred else torch.zeros(y.shape[1])
        x, y, start = x - mean_x, y - mean_y, as_matrix(weight_of(module))
        if density >= 1 and len(x) < x.shape[1]:
            weight = least_squares_of_few(x, y, start, refitter.ridge)
        else:
            weight = refitter.solve(layer, x.T @ x, x.T @ y, start, kept=self.kept, density=density)
        shift = mean_y - weight @ mean_x
        refitter.install(candidate, layer, weight, shift)

    def _target(self, layer: str) -> Tensor:
        """What the layer should give: the original's output, corrected by what its shortcut now gives instead."""
        slot = self.calibration.network.slot_by_name[layer]
        rows = torch.from_numpy(kept_channels(slot.out_units, self.kept))
        join = self.calibration.joins.get(layer)
        if join is None:
            return self.calibration.targets[layer][:, rows]
        other = self.calibration.outputs(layer, self.value(self.by_name[join.other]))
        target = self.calibration.sums[layer][:, rows] - other
        if join.norm is None:
            return target
        norm = self.candidate.get_submodule(join.norm)
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = affine(norm)
        usable = scale.abs() > 1e-6
        inverse = (target - shift) / torch.where(usable, scale, 1)
        return torch.where(usable, inverse, self.calibration.targets[layer][:, rows])


def _whole(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (n, …); zeros in place of those that a candidate which is broken, as by 0 / 0, cannot compute."""
    whole = (x.sum(1) + y.sum(1)).isfinite()
    if whole.all():
        return x, y
    return torch.where(whole[:, None], x, 0.0), torch.where(whole[:, None], y, 0.0)
