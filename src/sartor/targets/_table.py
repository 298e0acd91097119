"""Latency from a table of single layers, summed: for devices that are not here and widths that no local runtime has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, fx

from sartor.compression import GALEN, ActivationQuantizer, Scheme, layer_calls
from sartor.errors import RunError, UsageError
from sartor.graph import LayerSpec
from sartor.machine import Float32Array, read_json, write_text
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets.prediction._layer_shape import LayerShape, parse_key
from sartor.targets.prediction._overhead import SIDES, CallOverhead, chain_key
from sartor.targets.prediction._surface import LatencySurface

TABLE_SCHEMA = 1


class TableTarget(Target):
    """Sums the latencies of layers from a JSON file: ``{"schema": 1, "measured_on": TEXT, "seconds": {KEY: SECONDS}}``.

    A key reads ``conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits``: kind, channels, window, input size, bits of weights
    and inputs. Channels between entries of the same shape follow from them. A search on a runtime leaves such a file,
    ``latency.json``, in its folder; entries for other widths can be added by hand. Layers are timed alone in it, and chains of
    them (``1 x conv …``, ``2 x conv …``) tell what each then takes beside itself; without those nothing. Raises `RunError` for a
    file that is none, or that has an entry of a layer that there cannot be.
    """

    name = "table"
    suffix = ".layers.json"
    runs = False

    def __init__(self, path: Path, threads: int = 1) -> None:
        content = read_json(path, missing=f"the table {path} does not exist", error=RunError)
        seconds = content.get("seconds")
        if content.get("schema") != TABLE_SCHEMA or not isinstance(seconds, dict):
            raise RunError(f"{path} is not a table of latencies of schema {TABLE_SCHEMA}")
        self.path, self.threads, self._device = (
            path,
            threads,
            str(content.get("measured_on", "unknown")),
        )
        entries: dict[LayerShape, list[tuple[tuple[int, int], float]]] = {}
        for key, value in seconds.items():
            if not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise RunError(f"{path}: {key!r} takes {value!r}; seconds above 0 are allowed")
            if (parsed := _parse(path, key)) is not None:
                entries.setdefault(parsed[0], []).append((parsed[1:], float(value)))
        if not entries:
            raise RunError(
                f"{path} has no entry of a layer; keys read: conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits"
            )
        self._boundaries = {
            pair: _boundary(seconds, pair) for pair in {shape.bits for shape in entries}
        }
        self._surfaces = {shape: self._surface(shape, rows) for shape, rows in entries.items()}

    def _surface(
        self, shape: LayerShape, rows: list[tuple[tuple[int, int], float]]
    ) -> LatencySurface:
        """Of layers within a network."""
        boundary = self._boundaries[shape.bits]
        return LatencySurface.fit(
            [widths for widths, _ in rows],
            [boundary.within(alone, shape.numbers(*widths)) for widths, alone in rows],
        )

    @property
    def scheme(self) -> Scheme:
        """The paper's."""
        return GALEN

    def describe(self) -> Description:
        """What the entries are of; estimated, not measured."""
        pairs: dict[str, set[tuple[int, int]]] = {}
        for shape in self._surfaces:
            pairs.setdefault(shape.kind, {(FULL_WIDTH, FULL_WIDTH)}).add(shape.bits)
        supports = {kind: Support(tuple(sorted(found))) for kind, found in pairs.items()}
        return Description(
            self.name,
            self._device,
            f"table {self.path.name}",
            self.threads,
            supports,
            measured=False,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file that lists the layers. Raises `UsageError` for a layer whose shape the table lacks."""
        layers = _layers_of(network, inputs)
        for shape, width_in, width_out in layers:
            if shape not in self._surfaces:
                raise UsageError(
                    f"the table {self.path} has no entry for {shape.key(width_in, width_out)!r} or other channels of it"
                )
        write_text(
            path, json.dumps([shape.key(*widths) for shape, *widths in layers], indent=1) + "\n"
        )
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> TableSession:
        """The sum, and what the call costs beside the layers."""
        layers = [
            parsed
            for key in json.loads(artifact.read_text(encoding="utf-8"))
            if (parsed := parse_key(key)) is not None
        ]
        (first, *reads), (last, *writes) = layers[0], layers[-1]
        ends = np.array([first.numbers(*reads)[0], last.numbers(*writes)[1]])
        beside = float(self._boundaries[first.bits].seconds(ends).mean())
        return TableSession(
            beside + sum(self._surfaces[shape].seconds(*widths) for shape, *widths in layers)
        )


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


def _parse(path: Path, key: str) -> tuple[LayerShape, int, int] | None:
    try:
        return parse_key(key)
    except ValueError as error:
        raise RunError(f"{path}: {key!r} is no layer: {error}") from error


def _boundary(seconds: Mapping[str, float], pair: tuple[int, int]) -> CallOverhead:
    """What calls cost at a precision, if the table tells."""
    if not all(chain_key(side, pair, length) in seconds for side in SIDES for length in (1, 2)):
        return CallOverhead.none()
    return CallOverhead.of_chains(lambda side, length: seconds[chain_key(side, pair, length)])


def _layers_of(
    network: fx.GraphModule, inputs: Sequence[Tensor]
) -> list[tuple[LayerShape, int, int]]:
    """LayerShape and channels of every call of a layer."""
    found: list[tuple[LayerShape, int, int]] = []
    widths = _input_bits(network)
    for call in layer_calls(network, inputs):
        bits = (
            int(getattr(call.layer, "weight_bits", FULL_WIDTH)),
            widths.get(call.name, FULL_WIDTH),
        )
        layer = LayerSpec.of(
            call.name, call.layer, tuple(call.input.shape), [tuple(call.output.shape)]
        )
        found.append((LayerShape.of(layer, bits), layer.in_channels, layer.out_channels))
    return found


def _input_bits(network: fx.GraphModule) -> dict[str, int]:
    """Bits of what each layer reads, where that is rounded."""
    bits = {}
    for node in network.graph.nodes:
        if node.op == "call_module" and node.all_input_nodes:
            source = node.all_input_nodes[0]
            quantizer = (
                network.get_submodule(str(source.target)) if source.op == "call_module" else None
            )
            if isinstance(quantizer, ActivationQuantizer):
                bits[str(node.target)] = quantizer.bits
    return bits
