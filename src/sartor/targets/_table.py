"""Latency from a table of single layers, summed.

For devices that are not here and for widths that no local runtime has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor, fx

from sartor.compression import GALEN, Scheme, input_bits, layer_calls
from sartor.errors import RunError, UsageError
from sartor.graph import LayerSpec
from sartor.machine import Float32Array, write_text
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._options import TargetOptions
from sartor.targets.prediction import (
    SIDES,
    CallOverhead,
    LatencyFile,
    LatencySurface,
    LayerShape,
    chain_key,
    parse_key,
)

_EXAMPLE = "conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits"
#: Shape, input and output channels of a layer.
_Layer = tuple[LayerShape, int, int]
#: Input and output channels and seconds of a layer.
_Entry = tuple[int, int, float]


class TableTarget(Target):
    """Sums the latencies of layers from a JSON file; made by `read`.

    The file reads ``{"schema": 1, "measured_on": TEXT, "seconds": {KEY: SECONDS}}``, a key
    ``conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits``: kind, channels, window, input size,
    bits of weights and inputs. Channels between entries of the same shape follow from them. A
    search on a runtime leaves such a file, ``latency.json``, in its folder; entries for other
    widths can be added by hand. Layers are timed alone in it, and from chains of them (``1 x conv
    …``, ``2 x conv …``) follows what each then takes beside itself; without those nothing.
    """

    name = "table"
    suffix = ".layers.json"
    summary = "sum of layers"
    needs = "--table"
    runs = False
    reads_table = True

    def __init__(
        self,
        surfaces: Mapping[LayerShape, LatencySurface],
        overheads: Mapping[tuple[int, int], CallOverhead],
        *,
        path: Path,
        device: str,
        threads: int = 1,
    ) -> None:
        super().__init__(threads)
        self.path = path
        self._surfaces = surfaces
        self._overheads = overheads
        self._device = device

    @classmethod
    def read(cls, path: Path, threads: int = 1) -> Self:
        """The table in a file.

        Raises `RunError` for a file that is none, or that has an entry of a layer that there cannot
        be.
        """
        file = LatencyFile.read(path)
        entries = _entries(path, file.seconds)
        overheads = {}
        surfaces = {}
        for shape, rows in entries.items():
            overhead = _overhead(file.seconds, shape.bits)
            overheads[shape.bits] = overhead
            surfaces[shape] = _surface(shape, rows, overhead)

        return cls(
            surfaces,
            overheads,
            path=path,
            device=file.measured_on,
            threads=threads,
        )

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """The table that options name. Raises `UsageError` if they name none."""
        if options.table is None:
            raise UsageError(
                "the target table needs --table FILE: latencies of layers, such as latency.json "
                "in the folder of a run"
            )
        return cls.read(options.table, options.threads)

    @property
    def scheme(self) -> Scheme:
        """The paper's."""
        return GALEN

    def describe(self) -> Description:
        """What the entries are of; estimated, not measured."""
        full = (FULL_WIDTH, FULL_WIDTH)
        pairs: dict[str, set[tuple[int, int]]] = {}
        for shape in self._surfaces:
            of_kind = pairs.setdefault(shape.kind, {full})
            of_kind.add(shape.bits)

        supports = {}
        for kind, found in pairs.items():
            supports[kind] = Support(tuple(sorted(found)))

        return Description(
            target=self.name,
            device=self._device,
            runtime=f"table {self.path.name}",
            threads=self.threads,
            supports=supports,
            measured=False,
            batch=self.batch,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file that lists the layers.

        Raises `UsageError` for a layer whose shape the table lacks.
        """
        keys = []
        for shape, width_in, width_out in _layers_of(network, inputs):
            key = shape.key(width_in, width_out)
            if shape not in self._surfaces:
                raise UsageError(
                    f"the table {self.path} has no entry for {key!r} or other channels of it"
                )
            keys.append(key)

        text = json.dumps(keys, indent=1)
        write_text(path, f"{text}\n")
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> TableSession:
        """The sum, and what the call costs beside the layers."""
        text = artifact.read_text(encoding="utf-8")
        layers = []
        for key in json.loads(text):
            layer = parse_key(key)
            if layer is not None:
                layers.append(layer)

        within = []
        for shape, width_in, width_out in layers:
            surface = self._surfaces[shape]
            within.append(surface.seconds(width_in, width_out))

        beside = self._beside(layers[0], layers[-1])
        return TableSession(beside + sum(within))

    def _beside(self, first: _Layer, last: _Layer) -> float:
        """What the call costs that hands over the input of one layer and the output of another."""
        first_shape, *first_widths = first
        last_shape, *last_widths = last
        reads, _ = first_shape.numbers(*first_widths)
        _, writes = last_shape.numbers(*last_widths)
        ends = np.array([reads, writes])

        overhead = self._overheads[first_shape.bits]
        seconds = overhead.seconds(ends)
        return float(seconds.mean())


class TableSession:
    """A sum of latencies."""

    batch: int | None = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Tables give no outputs."""
        raise UsageError("the target table estimates latency only; it gives no outputs")

    def seconds(self) -> float:
        """Always the same."""
        return self._seconds


def _entries(path: Path, seconds: Mapping[str, float]) -> dict[LayerShape, list[_Entry]]:
    """What the table says of single layers, by their shapes."""
    entries: dict[LayerShape, list[_Entry]] = {}
    for key, value in seconds.items():
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise RunError(f"{path}: {key!r} takes {value!r}; seconds above 0 are allowed")

        try:
            layer = parse_key(key)
        except ValueError as error:
            raise RunError(f"{path}: {key!r} is no layer: {error}") from error

        # chains and whole networks stand in the same file
        if layer is None:
            continue
        shape, width_in, width_out = layer
        rows = entries.setdefault(shape, [])
        rows.append((width_in, width_out, float(value)))

    if not entries:
        raise RunError(f"{path} has no entry of a layer; keys read: {_EXAMPLE}")
    return entries


def _surface(shape: LayerShape, rows: Sequence[_Entry], overhead: CallOverhead) -> LatencySurface:
    """Seconds of a shape within a network, over its channels."""
    widths = []
    seconds = []
    for width_in, width_out, alone in rows:
        ends = shape.numbers(width_in, width_out)
        within = overhead.within(alone, ends)
        widths.append((width_in, width_out))
        seconds.append(within)

    return LatencySurface.fit(widths, seconds)


def _overhead(seconds: Mapping[str, float], pair: tuple[int, int]) -> CallOverhead:
    """What calls cost at a precision, if the table has all chains of it."""
    for side in SIDES:
        for length in (1, 2):
            key = chain_key(side, pair, length)
            if key not in seconds:
                return CallOverhead.none()

    def chain_seconds(side: int, length: int) -> float:
        key = chain_key(side, pair, length)
        return seconds[key]

    return CallOverhead.of_chains(chain_seconds)


def _layers_of(network: fx.GraphModule, inputs: Sequence[Tensor]) -> list[_Layer]:
    """Shape and channels of every call of a layer."""
    found: list[_Layer] = []
    read = input_bits(network)
    for call in layer_calls(network, inputs):
        # layers that are not quantized have no such attribute
        weights = int(getattr(call.layer, "weight_bits", FULL_WIDTH))
        activations = read.get(call.name, FULL_WIDTH)

        layer = LayerSpec.of(
            call.name,
            call.layer,
            tuple(call.input.shape),
            [tuple(call.output.shape)],
        )
        shape = LayerShape.of(layer, (weights, activations))
        found.append((shape, layer.in_channels, layer.out_channels))
    return found
