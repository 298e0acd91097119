"""Measured latencies of single layers, each beside the original network, and of whole ones; kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, fx, nn

from sartor.compression import quantize
from sartor.errors import RunError
from sartor.graph import LayerSpec
from sartor.machine import FloatArray, read_json, write_text
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets._deployment import Deployment
from sartor.targets._table import TABLE_SCHEMA
from sartor.targets._timing import Comparison
from sartor.targets.prediction._layer_shape import LayerShape
from sartor.targets.prediction._overhead import CHANNELS, CallOverhead, chain_key
from sartor.targets.prediction._surface import LatencySurface

#: Input and output widths, as shares of the original's, at which a layer is measured: these with each other, and more with the
#: widest of the other side, where measuring takes no minutes.
_SHARES = (0.25, 0.5, 1.0)
_EDGES = tuple(step / 8 for step in range(1, 9))


class LayerTimings:
    """Measured latencies of single layers, by what they are; equal layers are measured once."""

    def __init__(self, deployment: Deployment, path: Path | None, original: str) -> None:
        self._deployment, self._path = deployment, path
        described = deployment.target.describe()
        self._key = f"{described.runtime}, {described.device}, {described.threads} threads"
        self._estimated = not described.measured
        self._seconds = self._read()
        self._boundaries: dict[tuple[int, int], CallOverhead] = {}
        if original not in self._seconds:
            self._keep(original, deployment.original_s())
        self.original_s = self._seconds[original]

    def surface(self, layer: LayerSpec, pair: tuple[int, int]) -> LatencySurface:
        """Seconds of one call of a layer at a precision within a network, over its channels."""
        widths = _widths_of(layer, edges=_EDGES if self._deployment.target.runs else _SHARES)
        return LatencySurface.fit(
            widths, [self._within(layer, *pair_of_widths, pair) for pair_of_widths in widths]
        )

    def boundary(self, pair: tuple[int, int], numbers: FloatArray) -> FloatArray:
        """Seconds that taking and giving some ``numbers`` costs a network beside its layers: the call, rounding, reordering.

        Nothing where latencies are sums of a table.
        """
        return self._boundary(pair).seconds(numbers)

    def _boundary(self, pair: tuple[int, int]) -> CallOverhead:
        if self._estimated:
            return CallOverhead.none()
        if pair not in self._boundaries:
            self._boundaries[pair] = CallOverhead.of_chains(
                lambda side, length: self._measure_chain(side, pair, length)
            )
        return self._boundaries[pair]

    def _within(
        self, layer: LayerSpec, width_in: int, width_out: int, pair: tuple[int, int]
    ) -> float:
        """What a layer takes that does not stand alone: it hands over neither its input nor its output."""
        alone = self._measure(layer, width_in, width_out, pair)
        ends = np.array(
            [width_in * np.prod(layer.input_size), width_out * np.prod(layer.output_size)]
        )
        return self._boundary(pair).within(alone, ends)

    def _measure(
        self, layer: LayerSpec, width_in: int, width_out: int, pair: tuple[int, int]
    ) -> float:
        key = LayerShape.of(layer, pair).key(width_in, width_out)
        return self.seconds(
            key, lambda: self._beside(*_alone(layer, width_in, width_out), ["layer"], pair)
        )

    def _measure_chain(self, side: int, pair: tuple[int, int], length: int) -> float:
        key = chain_key(side, pair, length)
        return self.seconds(
            key,
            lambda: self._beside(
                *_chain(side, length), [str(2 * index) for index in range(length)], pair
            ),
        )

    def _beside(
        self, network: fx.GraphModule, example: Tensor, layers: Sequence[str], pair: tuple[int, int]
    ) -> Comparison:
        if pair != (FULL_WIDTH, FULL_WIDTH):
            policy = Policy(
                weight_bits=dict.fromkeys(layers, pair[0]),
                activation_bits=dict.fromkeys(layers, pair[1]),
            )
            network = quantize(network, policy, (example,), self._deployment.target.scheme)
        return self._deployment.measure_other(network, (example,))

    def seconds(self, key: str, measure: Callable[[], Comparison]) -> float:
        """What a key takes; it is measured if it is new, once more if there was no quiet moment: it is kept for good."""
        if key not in self._seconds:
            found = measure()
            relative = found.relative if found.settled else min(found.relative, measure().relative)
            self._keep(key, relative * self.original_s)
        return self._seconds[key]

    def _read(self) -> dict[str, float]:
        """What is kept by now, by this process or others."""
        if self._path is None or not self._path.exists():
            return {}
        content = read_json(self._path, missing="", error=RunError)
        if content.get("schema") != TABLE_SCHEMA or content.get("measured_on") != self._key:
            raise RunError(
                f"{self._path} was measured on {content.get('measured_on')!r}, not on {self._key!r}; remove it"
            )
        seconds: dict[str, float] = content["seconds"]
        return seconds

    def _keep(self, key: str, seconds: float) -> None:
        """A search that shares the file may have added to it, and measured the same; what is in it already is what counts."""
        if self._path is None:
            self._seconds[key] = seconds
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            self._seconds = {key: seconds, **self._seconds, **self._read()}
            content = {"schema": TABLE_SCHEMA, "measured_on": self._key, "seconds": self._seconds}
            write_text(self._path, json.dumps(content, indent=1) + "\n")


class _Alone(nn.Module):
    """One layer and the clipping that runs with it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.clip, self.end = layer, nn.ReLU(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.clip(self.layer(x)))


def _alone(layer: LayerSpec, width_in: int, width_out: int) -> tuple[fx.GraphModule, Tensor]:
    """A network of one layer like ``layer`` but of other widths, and an input for it."""
    generator = torch.Generator().manual_seed(0)
    if layer.kind == "linear":
        module: nn.Module = nn.utils.skip_init(nn.Linear, width_in, width_out)
        example = torch.randn(1, *layer.input_size, width_in, generator=generator)
    else:
        kinds: list[Callable[..., nn.Module]] = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
        groups = width_in if layer.kind == "depthwise" else layer.groups
        module = nn.utils.skip_init(
            kinds[len(layer.kernel) - 1],
            width_in,
            width_out,
            layer.kernel,
            layer.stride,
            layer.padding,
            layer.dilation,
            groups,
        )
        example = torch.randn(1, width_in, *layer.input_size, generator=generator)
    return fx.symbolic_trace(_Alone(_filled(module)).eval()), example


def _chain(side: int, length: int) -> tuple[fx.GraphModule, Tensor]:
    """A network of equal convolutions, each clipped, and an input for it."""
    layers = [
        _filled(nn.utils.skip_init(nn.Conv2d, CHANNELS, CHANNELS, 3, padding=1))
        for _ in range(length)
    ]
    parts = [part for layer in layers for part in (layer, nn.ReLU())]
    example = torch.randn(1, CHANNELS, side, side, generator=torch.Generator().manual_seed(0))
    return fx.symbolic_trace(nn.Sequential(*parts, nn.Identity()).eval()), example


def _filled(layer: nn.Module) -> nn.Module:
    """A layer with some weights."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return layer


def _widths_of(layer: LayerSpec, *, edges: Sequence[float]) -> list[tuple[int, int]]:
    """Input and output widths at which a layer is measured, the ``edges`` with the widest of the other side."""
    if layer.kind == "depthwise":
        return [
            (width, width * layer.out_channels // layer.in_channels)
            for width in _widths(layer.in_channels, 1, edges)
        ]
    (few_in, many_in), (few_out, many_out) = (
        [_widths(side, layer.groups, shares) for shares in (_SHARES, edges)]
        for side in (layer.in_channels, layer.out_channels)
    )
    pairs = [
        *product(few_in, few_out),
        *product(many_in, few_out[-1:]),
        *product(few_in[-1:], many_out),
    ]
    return sorted(set(pairs))


def _widths(channels: int, multiple: int, shares: Sequence[float]) -> list[int]:
    """Some channel counts up to ``channels``, all multiples of ``multiple``."""
    most = channels // multiple
    return [
        multiple * count
        for count in sorted(
            {max(1, round(share * most)) for share in shares} if channels > 4 else {most}
        )
    ]
