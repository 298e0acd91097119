"""Latency of any policy, predicted from single layers that were measured and corrected by whole networks that were.

Each layer of each precision is measured at a few widths, in turns with the original network so that a drifting machine cancels
out; its latency is a + b·in + c·out + d·in·out, all of them at least 0. A network is the sum of its layers, scaled per
precision, plus what changing the precision costs between layers; these few factors follow from whole networks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, fx, nn

from sartor._files import read_json, write_text
from sartor.compress import digest, quantize
from sartor.cost import CostModel, FloatArray, Options
from sartor.errors import RunError
from sartor.graph import IntArray, LayerSpec
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets._deployment import Deployment
from sartor.targets._table import TABLE_SCHEMA, Shape, fit_widths

#: Widths, as shares of the original's, at which a layer is measured.
_SHARES = (0.25, 0.5, 1.0)
#: How far whole-network factors are trusted before any whole network was measured, in measurements.
_PRIOR = 0.3


@dataclass(frozen=True)
class Whole:
    """A whole network that was measured: seconds of its layers by precision as predicted, and of all as measured."""

    parts: tuple[float, ...]
    seconds: float


class LatencyTable:
    """Predicts seconds of a deployed network. ``path`` keeps what was measured, of any networks; it is not measured again."""

    def __init__(
        self,
        cost_model: CostModel,
        deployment: Deployment,
        precisions: Mapping[str, Sequence[tuple[int, int]]],
        path: Path | None = None,
    ) -> None:
        self.cost_model, self._deployment = cost_model, deployment
        full = (FULL_WIDTH, FULL_WIDTH)
        self.precisions = sorted({full, *(pair for pairs in precisions.values() for pair in pairs)})
        layers = cost_model.network.layers
        self._name = f"network {digest(cost_model.network.module.state_dict())[:12]}"
        cells = self._cells = _Cells(deployment, path, self._name)
        self.original_s = cells.original_s
        coefficients = np.zeros((len(layers), len(self.precisions), 4))
        for row, layer in enumerate(layers):
            for column, pair in enumerate(self.precisions):
                if pair == full or pair in precisions.get(layer.name, ()):
                    coefficients[row, column] = cells.coefficients(layer, pair)
        self._coefficients = coefficients
        self._wholes: list[Whole] = []
        self._misses: list[float] = []
        self._factors = np.append(np.ones(len(self.precisions)), 0.0)
        self.correct(cost_model.sizes[None], Options(), self.original_s)

    def seconds(self, counts: IntArray, options: Options) -> FloatArray:
        """Seconds of policies given as counts (policies, groups) and `Options` (policies, layers)."""
        return self._parts(counts, options) @ self._factors

    def correct(self, counts: IntArray, options: Options, seconds: float) -> None:
        """Take a whole network into account: one policy, given as rows of one, and what it took."""
        parts = self._parts(counts, options)[0]
        if self._wholes:
            self._misses.append(abs(float(parts @ self._factors) / seconds - 1))
        self._wholes.append(Whole(tuple(parts.tolist()), seconds))
        rows = np.array([whole.parts for whole in self._wholes]) / np.array([[whole.seconds] for whole in self._wholes])
        spread = float(np.median(rows[:, :-1].sum(1)))
        ease = np.sqrt(_PRIOR) * np.diag([*np.full(len(self.precisions), spread), float(rows[:, -1].max()) or 1.0])
        before = ease @ np.append(np.full(len(self.precisions), 1 / spread), 0.0)
        self._factors = nnls(np.vstack([rows, ease]), np.append(np.ones(len(rows)), before))[0]

    def measure_whole(self, counts: IntArray, options: Options, name: str, build: Callable[[], fx.GraphModule]) -> None:
        """Measure a whole network, unless its ``name`` was measured before, and take it into account."""
        seconds = self._cells.seconds(f"{self._name} {name}", lambda: self._deployment.measure(build()).relative)
        self.correct(counts, options, seconds)

    def error(self) -> float:
        """Median relative error of what was predicted of whole networks just before they were measured."""
        return float(np.median(self._misses))

    def _parts(self, counts: IntArray, options: Options) -> FloatArray:
        """Seconds of the layers at each precision, and the number of layers whose precision is not that of the one before."""
        inputs, outputs = self.cost_model.channels(counts)
        ones = np.ones_like(inputs)
        terms = np.stack([ones, inputs, outputs, inputs * outputs], axis=-1)
        every = np.einsum("plk,lck->plc", terms, self._coefficients)
        chosen = self._columns(options, inputs.shape)
        parts = [np.where(chosen == column, every[:, :, column], 0).sum(1) for column in range(len(self.precisions))]
        return np.stack([*parts, (np.diff(chosen, axis=1) != 0).sum(1)], axis=1)

    def _columns(self, options: Options, shape: tuple[int, ...]) -> IntArray:
        """Which precision each layer has; pairs that were not measured count as the nearest above."""
        if options.weight_bits is None or options.activation_bits is None:
            return np.full(shape, self.precisions.index((FULL_WIDTH, FULL_WIDTH)))
        columns = np.full(shape, self.precisions.index((FULL_WIDTH, FULL_WIDTH)))
        for column, (weights, activations) in reversed(list(enumerate(self.precisions))):
            fits = (options.weight_bits <= weights) & (options.activation_bits <= activations)
            columns = np.where(fits, column, columns)
        return columns


class _Cells:
    """Measured latencies of single layers, by what they are; equal layers are measured once."""

    def __init__(self, deployment: Deployment, path: Path | None, original: str) -> None:
        self._deployment, self._path = deployment, path
        described = deployment.target.describe()
        self._key = f"{described.runtime}, {described.device}, {described.threads} threads"
        self._seconds: dict[str, float] = {}
        if path is not None and path.exists():
            content = read_json(path, missing="", error=RunError)
            if content.get("schema") != TABLE_SCHEMA or content.get("measured_on") != self._key:
                raise RunError(f"{path} was measured on {content.get('measured_on')!r}, not on {self._key!r}; remove it")
            self._seconds = content["seconds"]
        if original not in self._seconds:
            self._keep(original, deployment.original_s())
        self.original_s = self._seconds[original]

    def coefficients(self, layer: LayerSpec, pair: tuple[int, int]) -> FloatArray:
        """a, b, c, d of a layer's latency."""
        depthwise, groups = layer.kind == "depthwise", layer.groups
        widths = [
            (width_in, width_out)
            for width_in in _widths(layer.in_channels, 1 if depthwise else groups)
            for width_out in ([width_in] if depthwise else _widths(layer.out_channels, groups))
        ]
        return fit_widths(widths, [self._measure(layer, *pair_of_widths, pair) for pair_of_widths in widths])

    def _measure(self, layer: LayerSpec, width_in: int, width_out: int, pair: tuple[int, int]) -> float:
        key = Shape.of(layer, pair).key(width_in, width_out)

        def relative() -> float:
            network, example = _alone(layer, width_in, width_out)
            if pair != (FULL_WIDTH, FULL_WIDTH):
                policy = Policy(weight_bits={"layer": pair[0]}, activation_bits={"layer": pair[1]})
                network = quantize(network, policy, (example,), self._deployment.target.scheme)
            return self._deployment.measure_other(network, (example,)).relative

        return self.seconds(key, relative)

    def seconds(self, key: str, relative: Callable[[], float]) -> float:
        """What a key takes; ``relative`` measures it beside the original if the key is new."""
        if key not in self._seconds:
            self._keep(key, relative() * self.original_s)
        return self._seconds[key]

    def _keep(self, key: str, seconds: float) -> None:
        self._seconds[key] = seconds
        if self._path is not None:
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
        example = torch.randn(1, width_in, generator=generator)
    else:
        kinds: list[Callable[..., nn.Module]] = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
        padding = tuple((size - 1) // 2 for size in layer.kernel)
        groups = width_in if layer.kind == "depthwise" else layer.groups
        module = nn.utils.skip_init(
            kinds[len(layer.kernel) - 1], width_in, width_out, layer.kernel, layer.stride, padding, groups=groups
        )
        example = torch.randn(1, width_in, *layer.input_size, generator=generator)
    for parameter in module.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return fx.symbolic_trace(_Alone(module).eval()), example


def _widths(channels: int, multiple: int) -> list[int]:
    """Some channel counts up to ``channels``, all multiples of ``multiple``."""
    most = channels // multiple
    return [multiple * count for count in sorted({max(1, round(share * most)) for share in _SHARES} if channels > 4 else {most})]
