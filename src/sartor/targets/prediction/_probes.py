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
        module = nn.utils.skip_init(nn.Linear, width_in, width_out)
        shape = (1, *layer.input_size, width_in)
    else:
        module = _convolution(layer, width_in, width_out)
        shape = (1, width_in, *layer.input_size)

    alone = _Alone(_filled(module))
    network = fx.symbolic_trace(alone.eval())
    return Probe(network, _numbers(shape), ("layer",))


def _convolution(layer: LayerSpec, width_in: int, width_out: int) -> nn.Module:
    """Like ``layer``, of as many dimensions."""
    kinds: list[Callable[..., nn.Module]] = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
    kind = kinds[len(layer.kernel) - 1]
    groups = layer.groups
    if layer.kind == "depthwise":
        groups = width_in

    # skip_init: weights are filled anew, and the global generator is left alone
    return nn.utils.skip_init(
        kind,
        width_in,
        width_out,
        kernel_size=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=groups,
    )


def chain(side: int, length: int) -> Probe:
    """A network of equal convolutions, each clipped, on images of ``side`` × ``side``."""
    parts: list[nn.Module] = []
    names: list[str] = []
    for _ in range(length):
        layer = nn.utils.skip_init(
            nn.Conv2d,
            CHANNELS,
            CHANNELS,
            kernel_size=3,
            padding=1,
        )
        # a sequence calls its parts by their positions
        names.append(str(len(parts)))
        parts.append(_filled(layer))
        parts.append(nn.ReLU())

    whole = nn.Sequential(*parts, nn.Identity())
    network = fx.symbolic_trace(whole.eval())

    shape = (1, CHANNELS, side, side)
    return Probe(network, _numbers(shape), tuple(names))


def _numbers(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _filled(layer: nn.Module) -> nn.Module:
    """A layer with some weights."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return layer
