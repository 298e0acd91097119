"""Where the original and its candidates are looked at, on calibration images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import own_norms, weight_of
from sartor.compression.refitting._joins import Join, find_joins
from sartor.compression.refitting._memory import in_parts
from sartor.compression.refitting._output_sensitivity import output_sensitivity
from sartor.compression.refitting._windows import (
    Convolution,
    pad_channels_last,
    pixels_at,
    pixels_read,
    rows_at,
    windows,
)
from sartor.errors import DataError
from sartor.graph import LayerSpec, Network
from sartor.machine import channels_last

#: Layers with more inputs than this (channels × kernel) keep their weights: G alone would need
#: over half a gigabyte.
LARGEST_GRAM = 12_000
#: A layer is fitted to at least as many samples for each of its inputs, if its output has them:
#: fewer are learned by heart.
_SAMPLES_PER_INPUT = 7


@dataclass(frozen=True, eq=False)
class Calibration:
    """Places in the outputs of every layer, the same in the original and its candidates.

    Attributes:
        network: The original.
        inputs: Normalised images, (count, …).
        places: Of each layer, the sampled positions of its flattened output, in order.
        joins: Layers that end in a residual addition.
        norms: Layers with the batch norm that stands behind them alone.
        generator: Draws what is still to be drawn.
    """

    network: Network
    inputs: tuple[Tensor, ...]
    places: dict[str, Tensor]
    joins: dict[str, Join]
    norms: dict[str, str]
    generator: torch.Generator
    _pixels: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    @classmethod
    def sample(
        cls,
        network: Network,
        images: Tensor | tuple[Tensor, ...],
        positions: int,
        generator: torch.Generator,
    ) -> Calibration:
        """Draw places for ``images``, normalised: ``positions`` per image and layer.

        More where a layer reads much, fewer where it has no more. They are drawn once from
        ``generator``, which is the CPU's: places are the same on every device. Raises `DataError`
        for images of another shape than the network was traced with, or none.
        """
        inputs = (images,) if isinstance(images, Tensor) else images
        _require_inputs(network, inputs)
        device = inputs[0].device
        places = {}
        for layer in network.layers:
            if not _reuse(network, layer):
                read = weight_of(network.module.get_submodule(layer.name))[0].numel()
                enough = math.ceil(_SAMPLES_PER_INPUT * read / len(inputs[0]))
                drawn = _draw_places(layer, max(positions, enough), generator)
                places[layer.name] = drawn.to(device)

        joins = find_joins(network, tuple(item[:1] for item in inputs))
        return cls(
            network=network,
            inputs=tuple(channels_last(item) for item in inputs),
            places=places,
            joins={name: join for name, join in joins.items() if name in places},
            norms=norms_of_outputs(network),
            generator=generator,
        )

    @cached_property
    def nodes(self) -> dict[str, list[fx.Node]]:
        """Of each layer, in the original, that of its outputs and, where they join, of the sum."""
        by_name = {node.name: node for node in self.network.module.graph.nodes}
        found = {}
        for node in by_name.values():
            layer = str(node.target)
            if node.op == "call_module" and layer in self.places:
                found[layer] = [node]

        for layer, join in self.joins.items():
            found[layer].append(by_name[join.add])
        return found

    @cached_property
    def parts(self) -> tuple[tuple[Tensor, ...], ...]:
        """The inputs in parts of about the same size, each of as many as run at once."""
        return tuple(tuple(item[chosen] for item in self.inputs) for chosen in self._slices)

    @cached_property
    def _slices(self) -> list[slice]:
        return in_parts(self.network, len(self.inputs[0]))

    def samples(self, layer: str) -> int:
        """Rows of the sampled outputs of a layer."""
        return len(self.inputs[0]) * len(self.places[layer])

    def rows(self, layer: str, part: int) -> slice:
        """Those of one part of the images."""
        places = len(self.places[layer])
        images = self._slices[part]
        return slice(images.start * places, images.stop * places)

    @cached_property
    def sensitivity(self) -> dict[str, Tensor]:
        """Per layer, (out channels,): how much a squared error there changes the outputs.

        Squared change of the network's outputs per mean squared error at each channel.
        """
        return output_sensitivity(self.network, self.inputs, self.generator)

    @cached_property
    def obstacles(self) -> dict[str, str]:
        """Layers that cannot be refitted, with the reason."""
        found = {}
        for layer in self.network.layers:
            module = self.network.module.get_submodule(layer.name)
            reason = _reuse(self.network, layer)
            if not reason:
                reason = obstacle(module)
            if reason:
                found[layer.name] = reason

        return found

    def outputs(self, layer: str, y: Tensor) -> Tensor:
        """Rows of an output, or of any tensor of the same size, (images × places, channels)."""
        places = self.places[layer]
        module = self.network.module.get_submodule(layer)
        if isinstance(module, nn.Linear):
            return rows_at(places, y, self.network.layer_by_name[layer].positions)
        return pixels_at(places, y)

    def windows(self, layer: str, module: nn.Module, x: Tensor) -> Tensor:
        """Inputs that produce the sampled outputs, (images × places, kernel × in channels).

        ``module`` is the layer as it is now; the columns are in the order of `as_matrix`.
        """
        places = self.places[layer]
        if isinstance(module, nn.Linear):
            return rows_at(places, x, self.network.layer_by_name[layer].positions)

        convolution = cast("Convolution", module)
        padded = pad_channels_last(convolution, x)
        _, *sizes, _ = padded.shape
        pixels = self._pixels_read(layer, convolution, tuple(sizes))
        return windows(padded, pixels, len(places))

    def _pixels_read(self, layer: str, module: Convolution, sizes: tuple[int, ...]) -> Tensor:
        """Found once per layer: they do not depend on its channels."""
        key = (layer, sizes)
        if key not in self._pixels:
            places = self.places[layer]
            self._pixels[key] = pixels_read(places, module, sizes)
        return self._pixels[key]


def groups_of(module: nn.Module) -> int:
    """Of how many layers beside each other a layer consists: the groups of a convolution."""
    return getattr(module, "groups", 1)


def obstacle(module: nn.Module) -> str:
    """Why there is no Gram matrix of what a layer reads; empty if there is one."""
    if groups_of(module) != 1:
        return "it is grouped: its outputs do not read all inputs"

    inputs = weight_of(module)[0].numel()
    if inputs > LARGEST_GRAM:
        return f"it reads {inputs:,} inputs at once, more than {LARGEST_GRAM:,}"
    return ""


def _require_inputs(network: Network, inputs: tuple[Tensor, ...]) -> None:
    expected = _shapes(network.example_inputs)
    given = _shapes(inputs)
    if given != expected:
        raise DataError(
            f"calibration images have shape {given}, the network was traced with {expected}"
        )
    if not len(inputs[0]):
        raise DataError("there are no calibration images; at least one is needed")


def _shapes(inputs: tuple[Tensor, ...]) -> tuple[tuple[int, ...], ...]:
    """Of each input, what does not depend on the size of a batch."""
    return tuple(tuple(item.shape[1:]) for item in inputs)


def _reuse(network: Network, layer: LayerSpec) -> str:
    """How the weights of a layer are used more than once; empty if they are not."""
    calls = 0
    for node in network.module.graph.nodes:
        if node.op == "call_module" and node.target == layer.name:
            calls += 1

    if calls > 1:
        return f"it is called {calls} times"
    if layer.kind != "linear" and layer.calls > 1:
        return "it reads several tensors of each image at once"

    sharing = {*network.shared.values(), *network.shared}
    if layer.name in sharing:
        return "it shares its weights with another layer"
    return ""


def _draw_places(layer: LayerSpec, positions: int, generator: torch.Generator) -> Tensor:
    count = layer.positions if layer.kind == "linear" else math.prod(layer.output_size)
    shuffled = torch.randperm(count, generator=generator)
    return shuffled[:positions].sort().values


def norms_of_outputs(network: Network) -> dict[str, str]:
    """Layers with the batch norm behind them that has one number for each of their outputs."""
    norms = own_norms(network.module)
    for layer in network.layers:
        # Behind a linear layer on sequences it would have one for each position
        if layer.kind == "linear" and layer.output_size:
            norms.pop(layer.name, None)
    return norms
