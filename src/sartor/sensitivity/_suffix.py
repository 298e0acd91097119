"""A network that runs once; for every change, only what lies behind it runs again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor._layout import channels_last
from sartor.score import divergence

#: Values of intermediate tensors that may be held at once.
_MEMORY = 600_000_000


class SuffixRunner:
    """Runs a network once, keeps every intermediate value, and runs again only what a change can reach."""

    @torch.no_grad()
    def __init__(self, network: fx.GraphModule, images: Tensor) -> None:
        self.network = network
        self.dtype = next(iter(network.parameters())).dtype
        self._nodes = list(network.graph.nodes)
        self._interpreter = fx.Interpreter(network)
        pixels = channels_last(images.to(self.dtype))
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
