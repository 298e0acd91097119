"""Small networks that are measured in place of the layers of a large one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from sartor.graph import LayerSpec
from sartor.targets.prediction._overhead import CHANNELS


@dataclass(frozen=True)
class Probe:
    """A small network to measure.

    Attributes:
        network: What is measured.
        example: An input for it, a batch of one.
        layers: Names of its layers.
    """

    network: fx.GraphModule
    example: Tensor
    layers: tuple[str, ...]


class _Alone(nn.Module):
    """One layer and the clipping that runs with it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.clip = nn.ReLU()
        self.end = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.clip(self.layer(x)))


def single_layer(layer: LayerSpec, width_in: int, width_out: int) -> Probe:
    """A network of one layer like ``layer`` but of other widths."""
    if layer.kind == "linear":
        module: nn.Module = nn.utils.skip_init(nn.Linear, width_in, width_out)
        shape = (1, *layer.input_size, width_in)
    else:
        kinds: list[Callable[..., nn.Module]] = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
        module = nn.utils.skip_init(
            kinds[len(layer.kernel) - 1],
            width_in,
            width_out,
            layer.kernel,
            layer.stride,
            layer.padding,
            layer.dilation,
            width_in if layer.kind == "depthwise" else layer.groups,
        )
        shape = (1, width_in, *layer.input_size)
    network = fx.symbolic_trace(_Alone(_filled(module)).eval())
    return Probe(network, _numbers(shape), ("layer",))


def chain(side: int, length: int) -> Probe:
    """A network of equal convolutions, each clipped, on images of ``side`` × ``side``."""
    parts: list[nn.Module] = []
    names = []
    for _ in range(length):
        layer = nn.utils.skip_init(nn.Conv2d, CHANNELS, CHANNELS, 3, padding=1)
        names.append(str(len(parts)))
        parts += [_filled(layer), nn.ReLU()]
    network = fx.symbolic_trace(nn.Sequential(*parts, nn.Identity()).eval())
    return Probe(network, _numbers((1, CHANNELS, side, side)), tuple(names))


def _numbers(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _filled(layer: nn.Module) -> nn.Module:
    """A layer with some weights."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return layer
