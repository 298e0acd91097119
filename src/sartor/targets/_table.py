"""Latency from a table of single layers, summed: for devices that are not here and widths that no local runtime has."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, fx

from sartor._files import read_json, write_text
from sartor.compress import GALEN, ActivationQuantizer, Scheme, layer_calls
from sartor.errors import RunError, UsageError
from sartor.graph import LayerSpec
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._base import FloatArray as Values
from sartor.targets._surface import Surface

TABLE_SCHEMA = 1
_KEY = re.compile(
    r"^(conv|depthwise|linear) (\d+)->(\d+) kernel ([\dx]+) stride ([\dx]+)(?: dilation ([\dx]+))?(?: groups (\d+))? on ([\dx]+)"
    r" at (\d+)/(\d+) bits$"
)


@dataclass(frozen=True)
class Shape:
    """What a layer is, but for its channels; lengths joined by ``x``, bits of weights and of inputs."""

    kind: str
    kernel: str
    stride: str
    size: str
    bits: tuple[int, int]
    groups: int = 1
    dilation: str = ""

    @classmethod
    def of(cls, layer: LayerSpec, bits: tuple[int, int]) -> Shape:
        """Shape of a layer; the size is empty for a linear layer on one vector."""
        kernel, stride, size = ("x".join(map(str, side)) or "1" for side in (layer.kernel, layer.stride, layer.input_size))
        dilation = "x".join(map(str, layer.dilation)) if max(layer.dilation) > 1 else ""
        return cls(layer.kind, kernel, stride, size, bits, 1 if layer.kind == "depthwise" else layer.groups, dilation)

    def key(self, width_in: int, width_out: int) -> str:
        """The name of an entry of a table."""
        dilation = f" dilation {self.dilation}" if self.dilation else ""
        groups = f" groups {self.groups}" if self.groups > 1 else ""
        where = f"kernel {self.kernel} stride {self.stride}{dilation}{groups} on {self.size}"
        return f"{self.kind} {width_in}->{width_out} {where} at {self.bits[0]}/{self.bits[1]} bits"


def parse_key(key: str) -> tuple[Shape, int, int] | None:
    """Shape and channels of an entry; None for entries that are not of single layers."""
    found = _KEY.match(key)
    if found is None:
        return None
    kind, width_in, width_out, kernel, stride, dilation, groups, size, weights, activations = found.groups()
    shape = Shape(kind, kernel, stride, size, (int(weights), int(activations)), int(groups or 1), dilation or "")
    return shape, int(width_in), int(width_out)


class TableTarget(Target):
    """Sums the latencies of layers from a JSON file: ``{"schema": 1, "measured_on": TEXT, "seconds": {KEY: SECONDS}}``.

    A key reads ``conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits``: kind, channels, window, input size, bits of weights
    and inputs. Channels between entries of the same shape follow from them. A search on a runtime leaves such a file,
    ``latency.json``, in its folder; entries for other widths can be added by hand. Raises `RunError` for a file that is none.
    """

    name = "table"
    suffix = ".layers.json"
    runs = False

    def __init__(self, path: Path, threads: int = 1) -> None:
        content = read_json(path, missing=f"the table {path} does not exist", error=RunError)
        seconds = content.get("seconds")
        if content.get("schema") != TABLE_SCHEMA or not isinstance(seconds, dict):
            raise RunError(f"{path} is not a table of latencies of schema {TABLE_SCHEMA}")
        self.path, self.threads, self._device = path, threads, str(content.get("measured_on", "unknown"))
        entries: dict[Shape, list[tuple[tuple[int, int], float]]] = {}
        for key, value in seconds.items():
            if (parsed := parse_key(key)) is not None:
                if not isinstance(value, (int, float)) or not 0 < value < math.inf:
                    raise RunError(f"{path}: {key!r} takes {value!r}; seconds above 0 are allowed")
                entries.setdefault(parsed[0], []).append((parsed[1:], float(value)))
        if not entries:
            raise RunError(f"{path} has no entry of a layer; keys read: conv 16->32 kernel 3x3 stride 1x1 on 32x32 at 8/8 bits")
        self._surfaces = {shape: Surface.fit(*zip(*rows, strict=True)) for shape, rows in entries.items()}

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
        return Description(self.name, self._device, f"table {self.path.name}", self.threads, supports, measured=False)

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file that lists the layers. Raises `UsageError` for a layer whose shape the table lacks."""
        layers = _layers_of(network, inputs)
        for shape, width_in, width_out in layers:
            if shape not in self._surfaces:
                raise UsageError(
                    f"the table {self.path} has no entry for {shape.key(width_in, width_out)!r} or other channels of it"
                )
        write_text(path, json.dumps([shape.key(*widths) for shape, *widths in layers], indent=1) + "\n")
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> TableSession:
        """The sum."""
        total = 0.0
        for key in json.loads(artifact.read_text(encoding="utf-8")):
            parsed = parse_key(key)
            assert parsed is not None
            shape, width_in, width_out = parsed
            total += self._surfaces[shape].seconds(width_in, width_out)
        return TableSession(total)


class TableSession:
    """A sum of latencies."""

    batch: int | None = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def run(self, inputs: Sequence[Values]) -> list[Values]:
        """Tables give no outputs."""
        raise UsageError("the target table estimates latency only; it gives no outputs")

    def seconds(self) -> float:
        """Always the same."""
        return self._seconds


def _layers_of(network: fx.GraphModule, inputs: Sequence[Tensor]) -> list[tuple[Shape, int, int]]:
    """Shape and channels of every call of a layer."""
    found: list[tuple[Shape, int, int]] = []
    widths = _input_bits(network)
    for call in layer_calls(network, inputs):
        bits = (int(getattr(call.layer, "weight_bits", FULL_WIDTH)), widths.get(call.name, FULL_WIDTH))
        layer = LayerSpec.of(call.name, call.layer, tuple(call.input.shape), [tuple(call.output.shape)])
        found.append((Shape.of(layer, bits), layer.in_channels, layer.out_channels))
    return found


def _input_bits(network: fx.GraphModule) -> dict[str, int]:
    """Bits of what each layer reads, where that is rounded."""
    bits = {}
    for node in network.graph.nodes:
        if node.op == "call_module" and node.all_input_nodes:
            source = node.all_input_nodes[0]
            quantizer = network.get_submodule(str(source.target)) if source.op == "call_module" else None
            if isinstance(quantizer, ActivationQuantizer):
                bits[str(node.target)] = quantizer.bits
    return bits
