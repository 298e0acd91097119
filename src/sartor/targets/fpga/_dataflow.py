"""A network as the stream of units that it becomes: which engine waits for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import fx, nn

from sartor.compression import ActivationQuantizer
from sartor.errors import UsageError
from sartor.graph import Effect, LayerSpec, function_effect, module_effect, operator_name
from sartor.targets.fpga._engines import Engine

#: What a comparison with thresholds does beside rounding, or what is folded into it.
_ABSORBED = frozenset([
    "relu", "relu6", "clamp", "clamp_min", "hardtanh", "dropout", "contiguous", "clone", "detach",
    "nn.ReLU", "nn.ReLU6", "nn.Hardtanh", "nn.Dropout", "nn.Dropout2d",
    "nn.BatchNorm1d", "nn.BatchNorm2d",
])  # fmt: skip
#: What quantizers and modules that do nothing are called here.
_NOTHING = "nothing"
#: Units of their own, without weights.
_JOINS = frozenset(["add"])
_POOLS = frozenset([
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d",
    "nn.MaxPool1d", "nn.MaxPool2d", "nn.AvgPool1d", "nn.AvgPool2d",
])  # fmt: skip
#: The same, which wait for all of their input.
_MEANS = frozenset([
    "mean", "sum", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "nn.AdaptiveAvgPool1d", "nn.AdaptiveAvgPool2d",
])  # fmt: skip
#: Effects of operators that are wires, or nothing.
_WIRES = (Effect.MOVE, Effect.SIZE)


@dataclass(frozen=True)
class Stage:
    """One unit of the stream, or what stands for its beginning.

    Attributes:
        layer: Column of the layer that an engine computes; None of other units.
        before: Stages that it reads.
        waits: Share of what it reads that must have arrived before it begins.
        rows: Rows of its output.
        sized_like: Of an addition of streams, of which one may have to wait for the other, column
            of a layer that writes as much; None of other units.
    """

    layer: int | None
    before: tuple[int, ...]
    waits: float
    rows: int
    sized_like: int | None = None


@dataclass(frozen=True)
class Dataflow:
    """A network's engines, one for each layer, and the stream that connects them.

    Attributes:
        engines: In the order of the network's layers.
        stages: In the order in which they run; the first stands for the input.
        last: The stage that gives the output.
    """

    engines: tuple[Engine, ...]
    stages: tuple[Stage, ...]
    last: int

    @classmethod
    def of(cls, network: fx.GraphModule, layers: Sequence[LayerSpec]) -> Self:
        """The units of a network. Raises `UsageError` for an operator that no unit computes."""
        builder = _Builder(network, layers)
        for node in network.graph.nodes:
            builder.add(node)
        return cls(tuple(builder.engines()), tuple(builder.stages), builder.last)

    @property
    def units(self) -> int:
        """Units without weights: additions and pools."""
        return sum(stage.layer is None for stage in self.stages[1:])


class _Builder:
    """Follows the graph node by node."""

    def __init__(self, network: fx.GraphModule, layers: Sequence[LayerSpec]) -> None:
        self._network = network
        self._layers = layers
        self._columns: Mapping[str, int] = {
            layer.name: column for column, layer in enumerate(layers)
        }
        self._reads_input: set[int] = set()
        self._of_node: dict[fx.Node, int] = {}
        self.stages = [Stage(layer=None, before=(), waits=0.0, rows=1)]
        self.last = 0

    def engines(self) -> list[Engine]:
        """Of all layers; those that read the network's input leave rounding to the host."""
        return [
            Engine.of(layer, rounds=column not in self._reads_input)
            for column, layer in enumerate(self._layers)
        ]

    def add(self, node: fx.Node) -> None:
        """Take up the next node."""
        before = tuple(dict.fromkeys(self._of_node[item] for item in node.all_input_nodes))
        if node.op == "placeholder":
            self._of_node[node] = 0
        elif node.op == "output":
            self.last = before[0]
        elif node.op == "call_module" and str(node.target) in self._columns:
            self._of_node[node] = self._add_layer(str(node.target), before)
        else:
            self._of_node[node] = self._add_operator(node, before)

    def _add_layer(self, name: str, before: tuple[int, ...]) -> int:
        column = self._columns[name]
        engine = Engine.of(self._layers[column])
        if before == (0,):
            self._reads_input.add(column)
        waits = 1.0
        if self._layers[column].kind != "linear":
            waits = engine.kernel[0] / engine.input_rows
        return self._append(Stage(column, before, min(1.0, waits), engine.rows))

    def _add_operator(self, node: fx.Node, before: tuple[int, ...]) -> int:
        name, effect = self._operator(node)
        if name in _ABSORBED or effect in _WIRES or name == _NOTHING:
            return before[0] if before else 0
        # What adds a number is no addition of streams.
        if name in _JOINS and len(node.all_input_nodes) == 1:
            return before[0]
        if name in _JOINS:
            rows = max(self.stages[index].rows for index in before)
            return self._append(Stage(None, before, 0.0, rows, self._layer_before(before)))
        if name in _POOLS:
            rows = max(1, self.stages[before[0]].rows // 2)
            return self._append(Stage(None, before, 1 / rows, rows))
        if name in _MEANS:
            return self._append(Stage(None, before, 1.0, 1))

        raise UsageError(
            f"target fpga has no engine for operator {name!r} (node {node.name!r}); it has those "
            "of convolutions, linear layers, additions, max and average pools; batch norms and "
            "ReLU are part of them"
        )

    def _operator(self, node: fx.Node) -> tuple[str, Effect]:
        if node.op == "get_attr":
            return "constant", Effect.MOVE
        if node.op != "call_module":
            name = operator_name(node)
            return name, function_effect(name)
        module: nn.Module = self._network.get_submodule(str(node.target))
        # Where a batch norm was folded, a kind of Identity is left.
        if isinstance(module, (ActivationQuantizer, nn.Identity)):
            return _NOTHING, Effect.POINTWISE
        return f"nn.{type(module).__name__}", module_effect(module)

    def _layer_before(self, before: tuple[int, ...]) -> int | None:
        """Column of the nearest layer that one of these streams comes from."""
        for index in reversed(range(max(before) + 1)):
            if index in before and self.stages[index].layer is not None:
                return self.stages[index].layer
        return None

    def _append(self, stage: Stage) -> int:
        self.stages.append(stage)
        return len(self.stages) - 1
