"""Measured latencies of single layers, each beside the original network, and of whole ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
from filelock import FileLock
from torch import fx

from sartor.compression import quantize
from sartor.errors import RunError
from sartor.graph import LayerSpec
from sartor.machine import FloatArray, Step
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets._comparison import Comparison
from sartor.targets._deployment import Deployment
from sartor.targets.prediction._layer_shape import LayerShape
from sartor.targets.prediction._overhead import CallOverhead, chain_key
from sartor.targets.prediction._probes import Probe, chain, single_layer
from sartor.targets.prediction._surface import LatencySurface
from sartor.targets.prediction._table_file import LatencyFile

#: Widths at which a layer is measured, as shares of the original's: of inputs with each of outputs.
_SHARES = (0.25, 0.5, 1.0)
#: More of them, with the widest of the other side, where measuring takes no minutes.
_EDGES = tuple(step / 8 for step in range(1, 9))


class LayerTimings:
    """Measured latencies of single layers, by what they are; made by `measure`.

    Equal layers are measured once. What is measured goes into a file at once, if there is one.
    """

    def __init__(self, deployment: Deployment, path: Path | None, original: str) -> None:
        self._deployment = deployment
        self._path = path
        self._original = original
        self._seconds: dict[str, float] = {}
        self._overheads: dict[tuple[int, int], CallOverhead] = {}

    @classmethod
    def measure(cls, deployment: Deployment, path: Path | None, original: str) -> Self:
        """Read what ``path`` keeps, and time the network of a deployment if that is not in it.

        ``original`` is what the network is called there. Raises `RunError` for a file that was
        measured elsewhere.
        """
        timings = cls(deployment, path, original)
        timings._seconds = timings._read()
        if original not in timings._seconds:
            timings._keep(original, deployment.original_s())
        return timings

    @property
    def original_s(self) -> float:
        """Seconds of the original network."""
        return self._seconds[self._original]

    def tell(self, step: Step) -> None:
        """Say how far measuring has come."""
        self._deployment.progress(step)

    def surface(self, layer: LayerSpec, pair: tuple[int, int]) -> LatencySurface:
        """Seconds of one call of a layer at a precision within a network, over its channels."""
        edges: Sequence[float] = _SHARES
        if self._deployment.target.runs:
            edges = _EDGES
        widths = _widths_of(layer, edges=edges)

        seconds = []
        for width_in, width_out in widths:
            within = self._within(layer, width_in, width_out, pair)
            seconds.append(within)
        return LatencySurface.fit(widths, seconds)

    def boundary(self, pair: tuple[int, int], numbers: FloatArray) -> FloatArray:
        """Seconds that taking or giving some ``numbers`` costs a network beside its layers.

        That is the call, rounding, reordering; nothing where latencies are sums of a table.
        """
        return self._overhead(pair).seconds(numbers)

    def network_seconds(self, name: str, build: Callable[[], fx.GraphModule]) -> float:
        """Seconds of a whole network, which is built and measured if its ``name`` is new."""
        key = f"{self._original} {name}"

        def measure() -> Comparison:
            return self._deployment.measure(build())

        return self.seconds(key, measure)

    def seconds(self, key: str, measure: Callable[[], Comparison]) -> float:
        """What a key takes; it is measured if it is new.

        It is kept for good: what found no quiet moment is measured once more.
        """
        if key in self._seconds:
            return self._seconds[key]

        found = measure()
        relative = found.relative
        if not found.settled:
            # disturbances only add time
            again = measure()
            relative = min(relative, again.relative)

        self._keep(key, relative * self.original_s)
        return self._seconds[key]

    def _overhead(self, pair: tuple[int, int]) -> CallOverhead:
        target = self._deployment.target
        if not target.describe().measured:
            return CallOverhead.none()

        def chain_seconds(side: int, length: int) -> float:
            return self._chain_seconds(side, pair, length)

        if pair not in self._overheads:
            self._overheads[pair] = CallOverhead.of_chains(chain_seconds)
        return self._overheads[pair]

    def _within(
        self, layer: LayerSpec, width_in: int, width_out: int, pair: tuple[int, int]
    ) -> float:
        """What a layer takes that hands over neither its input nor its output."""
        shape = LayerShape.of(layer, pair)
        key = shape.key(width_in, width_out)

        def measure() -> Comparison:
            probe = single_layer(layer, width_in, width_out)
            return self._beside_original(probe, pair)

        alone = self.seconds(key, measure)

        # alone it takes its input from the caller and gives its output back
        reads = width_in * np.prod(layer.input_size)
        writes = width_out * np.prod(layer.output_size)
        ends = np.array([reads, writes])

        overhead = self._overhead(pair)
        return overhead.within(alone, ends)

    def _chain_seconds(self, side: int, pair: tuple[int, int], length: int) -> float:
        key = chain_key(side, pair, length)

        def measure() -> Comparison:
            probe = chain(side, length)
            return self._beside_original(probe, pair)

        return self.seconds(key, measure)

    def _beside_original(self, probe: Probe, pair: tuple[int, int]) -> Comparison:
        example = (probe.example,)
        if pair == (FULL_WIDTH, FULL_WIDTH):
            return self._deployment.measure_other(probe.network, example)

        weights, activations = pair
        policy = Policy(
            weight_bits=dict.fromkeys(probe.layers, weights),
            activation_bits=dict.fromkeys(probe.layers, activations),
        )

        quantized = quantize(
            probe.network,
            policy,
            example,
            self._deployment.target.scheme,
        )
        return self._deployment.measure_other(quantized, example)

    def _read(self) -> dict[str, float]:
        """What is kept by now, by this process or others."""
        if self._path is None or not self._path.exists():
            return {}

        content = LatencyFile.read(self._path)
        here = self._where()
        if content.measured_on != here:
            raise RunError(
                f"{self._path} was measured on {content.measured_on!r}, not on {here!r}; remove it"
            )
        return dict(content.seconds)

    def _keep(self, key: str, seconds: float) -> None:
        """A search that shares the file may have added to it; what is in it already counts."""
        if self._path is None:
            self._seconds[key] = seconds
            return

        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / f".{self._path.name}.lock"
        with FileLock(lock):
            shared = self._read()

            # the last of equal keys counts
            self._seconds = {key: seconds, **self._seconds, **shared}

            content = LatencyFile(self._where(), self._seconds)
            content.write(self._path)

    def _where(self) -> str:
        described = self._deployment.target.describe()
        where = f"{described.runtime}, {described.device}, {described.threads} threads"
        if described.batch > 1:
            where += f", {described.batch} images at once"
        return where


def _widths_of(layer: LayerSpec, *, edges: Sequence[float]) -> list[tuple[int, int]]:
    """Input and output widths at which a layer is measured.

    The ``edges`` come with the widest of the other side.
    """
    if layer.kind == "depthwise":
        return _depthwise_widths(layer, edges)

    groups = layer.groups
    few_in = _widths(layer.in_channels, groups, _SHARES)
    few_out = _widths(layer.out_channels, groups, _SHARES)
    many_in = _widths(layer.in_channels, groups, edges)
    many_out = _widths(layer.out_channels, groups, edges)

    # they are sorted: the last is the widest
    pairs = set(product(few_in, few_out))
    pairs.update(product(many_in, few_out[-1:]))
    pairs.update(product(few_in[-1:], many_out))
    return sorted(pairs)


def _depthwise_widths(layer: LayerSpec, edges: Sequence[float]) -> list[tuple[int, int]]:
    """Each input channel has as many output channels as it has in the layer."""
    pairs = []
    for width in _widths(layer.in_channels, 1, edges):
        leaving = width * layer.out_channels // layer.in_channels
        pairs.append((width, leaving))
    return pairs


def _widths(channels: int, multiple: int, shares: Sequence[float]) -> list[int]:
    """Some channel counts up to ``channels``, all multiples of ``multiple``."""
    most = channels // multiple
    # kernels take at least four channels at a time: fewer save nothing
    if channels <= 4:
        return [multiple * most]

    counts = {max(1, round(share * most)) for share in shares}
    return [multiple * count for count in sorted(counts)]
