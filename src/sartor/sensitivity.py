"""How much each layer minds being compressed, one compression parameter at a time (Galen, Ω).

Ω = mean over images of KL(p_candidate ‖ p_original). The network runs once; for every candidate only what lies behind the changed
layer runs again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor._files import read_json, write_atomically, write_text
from sartor.compress import (
    GALEN,
    ActivationQuantizer,
    Compressor,
    QuantizedWeight,
    Scheme,
    can_be_quantized,
    fastest_dtype,
    find_range,
    fold,
    mask,
    with_rounded_weight,
    with_tensors,
)
from sartor.cost import FloatArray
from sartor.errors import DataError, RunError
from sartor.policy import FULL_WIDTH, Policy
from sartor.score import divergence

Parameter = Literal["channels", "weight_bits", "activation_bits"]

SCHEMA = 1
FILE = "sensitivity.json"
#: Values of intermediate tensors that may be held at once.
_MEMORY = 600_000_000
#: Smallest Ω that is drawn.
_FLOOR = 1e-5


@dataclass(frozen=True)
class Grid:
    """What is tried of every group and layer; the other parameters stay at their widest."""

    keep: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass
class Sensitivity:
    """``table[parameter][name][value]`` is Ω in nats, value a keep ratio or a number of bits."""

    images: int
    table: dict[Parameter, dict[str, dict[float, float]]] = field(default_factory=dict)

    def at(self, parameter: Parameter, name: str, values: FloatArray) -> FloatArray:
        """Ω at any values, linear between those measured; 0 above 8 bits."""
        row = self.table.get(parameter, {}).get(name, {})
        points = sorted({**row, **({float(FULL_WIDTH): 0.0} if parameter != "channels" else {1.0: 0.0})}.items())
        return np.interp(values, [value for value, _ in points], [omega for _, omega in points])

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps({"schema": SCHEMA, "images": self.images, "table": self.table}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Sensitivity:
        """What `save` wrote. Raises `RunError` for anything else."""
        content = read_json(path, missing=f"{path} does not exist; make it with sartor sensitivity", error=RunError)
        if content.get("schema") != SCHEMA:
            raise RunError(f"{path} is not a sensitivity of schema {SCHEMA}")
        table = {
            parameter: {name: {float(value): omega for value, omega in row.items()} for name, row in rows.items()}
            for parameter, rows in content["table"].items()
        }
        return cls(content["images"], cast("dict[Parameter, dict[str, dict[float, float]]]", table))


def measure(
    compressor: Compressor,
    images: Tensor,
    *,
    grid: Grid | None = None,
    scheme: Scheme = GALEN,
    path: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Ω of every group and layer of a network on normalised images.

    With ``path``, what is done is on disk after every layer and is not done again. Raises `DataError` without images.
    """
    if not len(images):
        raise DataError("there are no images to measure the sensitivity on; at least one is needed")
    grid = grid or Grid()
    found = Sensitivity.read(path) if path is not None and path.exists() else Sensitivity(len(images))
    if found.images != len(images):
        raise RunError(f"{path} was measured on {found.images} images, not {len(images)}; remove it or choose another folder")
    runner = _SuffixRunner(fold(compressor.network.module, fastest_dtype()), images)
    work = list(_rows(compressor, runner, grid, scheme))
    for done, (parameter, name, options) in enumerate(work):
        row = found.table.setdefault(parameter, {}).setdefault(name, {})
        missing = [value for value in options if value not in row]
        for value in missing:
            row[value] = runner.divergence(options[value]())
        if missing and path is not None:
            found.save(path)
        on_progress(done + 1, len(work))
    return found


def draw(found: Sensitivity, folder: Path) -> Path | None:
    """Heat maps of Ω as an SVG file; None where altair and vl-convert are not installed."""
    try:
        import altair as alt
    except ImportError:
        return None
    rows: list[dict[str, Any]] = [
        {"parameter": parameter, "layer": name, "value": value, "omega": max(omega, _FLOOR)}
        for parameter, table in found.table.items()
        for name, row in table.items()
        for value, omega in row.items()
    ]
    order = [str(name) for name in dict.fromkeys(row["layer"] for row in rows)]
    panels = [
        alt.Chart(alt.InlineData([row for row in rows if row["parameter"] == parameter]))
        .mark_rect()
        .encode(
            x=alt.X("value:O", title=parameter.replace("_", " ")),
            y=alt.Y("layer:N", sort=order, title=None),
            color=alt.Color("omega:Q", scale=alt.Scale(type="log", scheme="viridis"), title="Ω (nats)"),
        )
        for parameter in found.table
    ]
    path = folder / "sensitivity.svg"
    write_atomically(path, lambda temporary: alt.hconcat(*panels).save(str(temporary), format="svg"))
    return path


Change = Callable[[], dict[str, nn.Module]]


def _rows(
    compressor: Compressor, runner: _SuffixRunner, grid: Grid, scheme: Scheme
) -> Iterator[tuple[Parameter, str, dict[float, Change]]]:
    """Every group or layer with what to try: for each value, the modules that replace those of the folded network."""
    network = compressor.network
    for group in network.groups:
        yield "channels", group.name, {keep: _masked(compressor, runner, group.name, keep) for keep in grid.keep}
    for layer in network.layers:
        module = runner.network.get_submodule(layer.name)
        if can_be_quantized(module):
            yield "weight_bits", layer.name, {bits: _rounded(runner, layer.name, bits, scheme) for bits in grid.bits}
    for layer in network.layers:
        if can_be_quantized(runner.network.get_submodule(layer.name)):
            yield "activation_bits", layer.name, {bits: _coarse(runner, layer.name, bits) for bits in grid.bits}


def _masked(compressor: Compressor, runner: _SuffixRunner, group: str, keep: float) -> Change:
    def change() -> dict[str, nn.Module]:
        consumers = compressor.network.group_by_name[group].consumers
        masked = fold(mask(compressor.network, compressor.kept(Policy(channels={group: keep}))), runner.dtype)
        return {name: masked.get_submodule(name) for name in consumers}

    return change


def _rounded(runner: _SuffixRunner, layer: str, bits: float, scheme: Scheme) -> Change:
    def change() -> dict[str, nn.Module]:
        module = runner.network.get_submodule(layer)
        weight = module.get_parameter("weight")
        real = _with_weight(module, weight.float())
        rounded = cast("QuantizedWeight", with_rounded_weight(real, int(bits), scheme)).rounded()
        return {layer: _with_weight(module, rounded.to(weight.dtype))}

    return change


def _coarse(runner: _SuffixRunner, layer: str, bits: float) -> Change:
    def change() -> dict[str, nn.Module]:
        low, high = find_range(runner.input_of(layer), int(bits), "minmax")
        quantizer = ActivationQuantizer(int(bits), low, high)
        return {layer: _QuantizedInput(quantizer, runner.network.get_submodule(layer))}

    return change


def _with_weight(module: nn.Module, weight: Tensor) -> nn.Module:
    return with_tensors(module, {"weight": weight})


class _QuantizedInput(nn.Module):
    """A layer that reads a rounded input."""

    def __init__(self, quantizer: ActivationQuantizer, layer: nn.Module) -> None:
        super().__init__()
        self.quantizer, self.layer = quantizer, layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.quantizer(x.float()).to(x.dtype))


class _SuffixRunner:
    """Runs a network once, keeps every intermediate value, and runs again only what a change can reach."""

    @torch.no_grad()
    def __init__(self, network: fx.GraphModule, images: Tensor) -> None:
        self.network = network
        self.dtype = next(iter(network.parameters())).dtype
        self._nodes = list(network.graph.nodes)
        self._interpreter = fx.Interpreter(network)
        layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
        pixels = images.to(self.dtype).contiguous(memory_format=layout)
        probe = self._walk({"": pixels[:1]}, {})
        each = sum(value.numel() for value in probe.values() if isinstance(value, Tensor))
        size = max(1, min(len(images), _MEMORY // max(1, each)))
        self._values = [self._walk({"": pixels[start : start + size]}, {}) for start in range(0, len(pixels), size)]
        self._counts = [len(values[self._nodes[0]]) for values in self._values]

    def input_of(self, layer: str) -> Tensor:
        """What a layer reads, of the first images."""
        node = next(node for node in self._nodes if node.op == "call_module" and node.target == layer)
        value: Tensor = self._values[0][node.all_input_nodes[0]]
        return value

    @torch.no_grad()
    def divergence(self, replaced: dict[str, nn.Module]) -> float:
        """Ω of the network with some modules replaced."""
        total = 0.0
        for count, values in zip(self._counts, self._values, strict=True):
            changed = self._walk(replaced, values)
            result = self._nodes[-1]
            total += count * divergence(_logits(changed[result]), _logits(values[result]))
        return max(0.0, total / sum(self._counts))  # rounding may leave a negative zero

    def _walk(self, replaced: dict[str, Any], known: dict[fx.Node, Any]) -> dict[fx.Node, Any]:
        """Values of the nodes that differ from ``known``; all of them where nothing is known and the input is given."""
        values: dict[fx.Node, Any] = {}
        for node in self._nodes:
            swapped = node.op == "call_module" and str(node.target) in replaced
            if known and not swapped and not any(source in values for source in node.all_input_nodes):
                continue
            if node.op == "placeholder":
                values[node] = replaced[""]
                continue
            look_up = {source: values.get(source, known.get(source)) for source in node.all_input_nodes}
            args, kwargs = (fx.node.map_arg(item, look_up.__getitem__) for item in (node.args, node.kwargs))
            if swapped:
                values[node] = replaced[str(node.target)](*args, **kwargs)
            else:
                values[node] = getattr(self._interpreter, node.op)(node.target, args, kwargs)
        return values


def _logits(output: Any) -> Tensor:
    """The class scores of an output: its first tensor."""
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return output
