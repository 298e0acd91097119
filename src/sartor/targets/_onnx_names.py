"""Nodes of an ONNX file bear the names of layers, so that runtimes speak of those."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

#: What exported layers become.
_LAYER_OPERATORS = ("Conv", "Gemm", "MatMul", "BitSerial")
#: What runtimes let the kernels of layers do as well.
_CLIPPING = ("Relu", "Clip")
#: Ends the name of what is written by a layer's clipping.
CLIPPED = ":clipped"
#: Ends the name of the addition of a layer's bias, where that is a node of its own.
BIASED = ":biased"


def name_layers(model: Any, network: fx.GraphModule) -> None:
    """Call nodes of layers, what they write and the clipping behind them after their layers.

    What a layer writes keeps its name where the layer's is taken: that of an input, say. Nothing is
    named where the file has other operators of these kinds than the network has layers.
    """
    layers = _layers(network)
    nodes = [node for node in model.graph.node if node.op_type in _LAYER_OPERATORS]

    # a layer that is called twice is two nodes, which cannot bear one name
    are_unique = len(set(layers)) == len(layers)
    if len(layers) != len(nodes) or not are_unique:
        return

    names = _Names(model)
    for layer, node in zip(layers, nodes, strict=True):
        names.name_layer(node, layer)


def _layers(network: fx.GraphModule) -> list[str]:
    """Names of the layers that become one node each, in the order in which they run."""
    found = []
    for node in network.graph.nodes:
        if node.op != "call_module":
            continue
        name = str(node.target)
        module = network.get_submodule(name)
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            found.append(name)
    return found


class _Names:
    """The names of a file's tensors, and who reads them."""

    def __init__(self, model: Any) -> None:
        graph = model.graph
        self._graph = graph
        self._results = {item.name for item in graph.output}
        self._constants = {item.name for item in graph.initializer}

        # a file's tensors share one space of names
        inputs = {item.name for item in graph.input}
        self._taken = inputs | self._results | self._constants
        for node in graph.node:
            self._taken.update(node.output)

    def name_layer(self, node: Any, layer: str) -> None:
        """Call a node, its bias and its clipping after a layer, and what they write."""
        node.name = layer
        last = node
        bias = self.bias_after(node)
        if bias is not None:
            bias.name = f"{layer}{BIASED}"
            last = bias

        readers = self.rename(last, layer)
        if len(readers) != 1:
            return
        (reader,) = readers
        if reader.op_type in _CLIPPING:
            clipped = f"{layer}{CLIPPED}"
            reader.name = clipped
            self.rename(reader, clipped)

    def readers(self, tensor: str) -> list[Any]:
        return [node for node in self._graph.node if tensor in node.input]

    def bias_after(self, node: Any) -> Any | None:
        """The addition of a constant that a linear layer on several positions ends with."""
        readers = self.readers(node.output[0])
        if node.op_type != "MatMul" or len(readers) != 1:
            return None

        (reader,) = readers
        adds_constant = self._constants.intersection(reader.input)
        if reader.op_type != "Add" or not adds_constant:
            return None
        return reader

    def rename(self, node: Any, name: str) -> list[Any]:
        """Give what a node writes a name; return its readers.

        It keeps its own where the name is taken or where it is a result of the network.
        """
        old = node.output[0]
        readers = self.readers(old)
        if name in self._taken or old in self._results:
            return readers

        node.output[0] = name
        self._taken.add(name)

        # a reader may read it more than once, as x + x does
        for reader in readers:
            for index, item in enumerate(reader.input):
                if item == old:
                    reader.input[index] = name
        return readers
