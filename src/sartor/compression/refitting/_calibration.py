"""What is recorded of the original network on calibration images: inputs and outputs of its layers at sampled positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sartor.compression.modules import keeps_statistics, own_norms, weight_of
from sartor.compression.refitting._output_sensitivity import output_sensitivity
from sartor.errors import DataError
from sartor.graph import LayerSpec, Network, walk
from sartor.machine import IntArray, channels_last

_ADDITIONS = ("add", "iadd", "add_")
#: Layers with more inputs than this (channels × kernel) keep their weights: G alone would need over half a gigabyte.
_LARGEST_GRAM = 12_000


@dataclass(frozen=True)
class Join:
    """A layer whose output, after an optional batch norm, is added to another branch: ``add = norm(layer) + other``."""

    norm: str | None
    add: str
    other: str


class Calibration:
    """Sampled outputs of every layer of the original network, and how to sample the same places of a candidate.

    ``images`` are normalised, (count, …). At most ``positions`` places per image and layer are sampled, drawn once from
    ``generator``; all rows of a layer are kept in ``targets[layer]``, shape (rows, out channels), and, for layers that end
    in a residual addition, the sum itself in ``sums[layer]``.
    """

    def __init__(
        self,
        network: Network,
        images: Tensor | tuple[Tensor, ...],
        positions: int,
        generator: torch.Generator,
    ) -> None:
        inputs = (images,) if isinstance(images, Tensor) else images
        expected = tuple(tuple(item.shape[1:]) for item in network.example_inputs)
        given = tuple(tuple(item.shape[1:]) for item in inputs)
        if given != expected:
            raise DataError(
                f"calibration images have shape {given}, the network was traced with {expected}"
            )
        if not len(inputs[0]):
            raise DataError("there are no calibration images; at least one is needed")
        self.network = network
        self.inputs = tuple(channels_last(item) for item in inputs)
        self.joins = _find_joins(network)
        self.norms = own_norms(network.module)
        self.places = {
            layer.name: _draw(layer, positions, generator)
            for layer in network.layers
            if _called_once(network, layer)
        }
        self._generator = generator
        self.targets: dict[str, Tensor] = {}
        self.sums: dict[str, Tensor] = {}
        by_sum = {join.add: name for name, join in self.joins.items()}
        shapes: dict[str, tuple[int, ...]] = {}

        def record(node: fx.Node, value: Any) -> None:
            if isinstance(value, Tensor):
                shapes[node.name] = tuple(value.shape)
            name = str(node.target) if node.op == "call_module" else ""
            if name in self.places:
                self.targets[name] = self.outputs(name, value)
            if node.name in by_sum:
                self.sums[by_sum[node.name]] = self.outputs(by_sum[node.name], value)

        walk(network.module, self.inputs, record)
        self.joins = {
            name: join
            for name, join in self.joins.items()
            if shapes.get(join.other) == shapes[join.add]
        }

    @cached_property
    def sensitivity(self) -> dict[str, Tensor]:
        """Squared change of the network's outputs per mean squared error at each layer's output channels."""
        return output_sensitivity(self.network, self.inputs, self._generator)

    def outputs(self, layer: str, y: Tensor) -> Tensor:
        """Rows of an output (or of any tensor of the same height and width), (rows, channels)."""
        if isinstance(self.network.module.get_submodule(layer), nn.Linear):
            return self._rows(layer, y)
        return (
            y.flatten(2)[:, :, self.places[layer]].permute(0, 2, 1).reshape(-1, y.shape[1]).float()
        )

    def windows(self, layer: str, module: nn.Module, x: Tensor) -> Tensor:
        """Inputs that produce the sampled outputs, (rows, kernel × in channels), in the order of `as_matrix`."""
        if isinstance(module, nn.Linear):
            return self._rows(layer, x)
        assert isinstance(module, (nn.Conv1d, nn.Conv2d))
        kernel, stride, padding, dilation = (
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
        )
        assert isinstance(padding, tuple)
        place = self.places[layer]
        if len(kernel) != 2:
            return x.flatten(2)[:, :, place].permute(0, 2, 1).reshape(-1, x.shape[1]).float()
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
        width = (x.shape[2] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
        rows = (place // width)[:, None] * stride[0] + torch.arange(kernel[0]) * dilation[0]
        columns = (place % width)[:, None] * stride[1] + torch.arange(kernel[1]) * dilation[1]
        pixels = (rows[:, :, None] * x.shape[2] + columns[:, None, :]).flatten()
        picked = x.reshape(x.shape[0], -1, x.shape[3]).index_select(
            1, pixels
        )  # image, place × kernel, channel
        return picked.reshape(x.shape[0] * len(place), -1).float()

    def _rows(self, layer: str, x: Tensor) -> Tensor:
        """What a linear layer reads or writes at the sampled positions."""
        return x.reshape(len(x), -1, x.shape[-1])[:, self.places[layer]].flatten(0, 1).float()


def as_matrix(weight: Tensor) -> Tensor:
    """Weights of a layer as (out channels, kernel × in channels): the channels of one kernel position side by side."""
    return weight.movedim(1, -1).flatten(1)


def from_matrix(matrix: Tensor, like: Tensor) -> Tensor:
    """Inverse of `as_matrix`, with the shape of ``like``."""
    return matrix.view(like.shape[0], *like.shape[2:], like.shape[1]).movedim(-1, 1).contiguous()


def columns_of(channels: IntArray, width: int, taps: int) -> Tensor:
    """Columns of a matrix of ``width`` channels that read the given ones, ``taps`` each."""
    return (torch.arange(taps)[:, None] * width + torch.from_numpy(channels)).flatten()


def refittable(module: nn.Module) -> bool:
    """Whether a layer's weights can be refitted: linear layers, and ordinary 2-d or pointwise convolutions."""
    if isinstance(module, nn.Linear):
        return True
    if not isinstance(module, (nn.Conv1d, nn.Conv2d)) or module.groups != 1:
        return False
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        return False
    return isinstance(module, nn.Conv2d) or module.kernel_size == (1,) == module.stride


def solvable(module: nn.Module) -> bool:
    """Whether a layer can be refitted: of a kind that mixes all its inputs, and not too wide for its G."""
    return refittable(module) and weight_of(module)[0].numel() <= _LARGEST_GRAM


def _draw(layer: LayerSpec, positions: int, generator: torch.Generator) -> Tensor:
    count = 1
    for size in layer.output_size:
        count *= size
    return torch.randperm(count, generator=generator)[:positions].sort().values


def _called_once(network: Network, layer: LayerSpec) -> bool:
    calls = [
        node
        for node in network.module.graph.nodes
        if node.op == "call_module" and node.target == layer.name
    ]
    return len(calls) == 1


def _find_joins(network: Network) -> dict[str, Join]:
    modules = dict(network.module.named_modules())
    joins: dict[str, Join] = {}
    for node in network.module.graph.nodes:
        name = getattr(node.target, "__name__", node.target)
        if (
            name not in _ADDITIONS
            or len(node.args) != 2
            or not all(isinstance(arg, fx.Node) for arg in node.args)
        ):
            continue
        for branch, other in (node.args, node.args[::-1]):
            norm = (
                branch
                if branch.op == "call_module" and keeps_statistics(modules[branch.target])
                else None
            )
            layer = norm.args[0] if norm is not None else branch
            single = len(branch.users) == 1 and len(layer.users) == 1
            if (
                single
                and layer.op == "call_module"
                and isinstance(modules[layer.target], nn.Conv2d)
            ):
                joins[layer.target] = Join(
                    norm.target if norm is not None else None, node.name, other.name
                )
                break
    return joins
