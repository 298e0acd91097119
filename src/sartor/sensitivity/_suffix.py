"""A network that runs once; for every change, only what lies behind it runs again."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import winograd_layer, with_winograd
from sartor.machine import channels_last, map_on_threads
from sartor.scoring import divergence, logits

#: Images that one core runs at once.
_BATCH = 64


class SuffixRunner:
    """Runs a network once, keeps every intermediate value, and runs again only what a change can reach."""

    def __init__(self, network: fx.GraphModule, images: Tensor) -> None:
        self.network = network
        self.fast = with_winograd(network)
        self.dtype = next(iter(network.parameters())).dtype
        self._nodes = list(network.graph.nodes)
        self._interpreter = fx.Interpreter(self.fast)
        batches = [{"": pixels} for pixels in channels_last(images.to(self.dtype)).split(_BATCH)]
        self._values = map_on_threads(partial(self._walk, known={}), batches)

    def inputs_of(self, layer: str) -> list[Tensor]:
        """What a layer reads, batch by batch."""
        node = next(
            node for node in self._nodes if node.op == "call_module" and node.target == layer
        )
        return [values[node.all_input_nodes[0]] for values in self._values]

    def divergence(self, replaced: dict[str, nn.Module]) -> float:
        """Ω of the network with some modules replaced."""
        if not replaced:
            return 0.0
        fast = {name: winograd_layer(module) for name, module in replaced.items()}
        result = self._nodes[-1]

        def of_batch(values: dict[fx.Node, Any]) -> tuple[int, float]:
            mine, original = (logits(found[result]) for found in (self._walk(fast, values), values))
            return len(original), len(original) * divergence(mine, original)

        counts, sums = zip(*map_on_threads(of_batch, self._values), strict=True)
        return max(0.0, sum(sums) / sum(counts))  # rounding may leave a negative zero

    @torch.no_grad()
    def _walk(self, replaced: dict[str, Any], known: dict[fx.Node, Any]) -> dict[fx.Node, Any]:
        """Values of the nodes that differ from ``known``, as long as any reads them; where nothing is known, of all nodes."""
        values: dict[fx.Node, Any] = {}
        for node in self._nodes:
            swapped = node.op == "call_module" and str(node.target) in replaced
            if (
                known
                and not swapped
                and not any(source in values for source in node.all_input_nodes)
            ):
                continue
            if node.op == "placeholder":
                values[node] = (
                    replaced[""] if node is self._nodes[0] else node.args[0] if node.args else None
                )
                continue
            look_up = {
                source: values.get(source, known.get(source)) for source in node.all_input_nodes
            }
            args, kwargs = (
                fx.node.map_arg(item, look_up.__getitem__) for item in (node.args, node.kwargs)
            )
            if swapped:
                values[node] = replaced[str(node.target)](*args, **kwargs)
            else:
                values[node] = getattr(self._interpreter, node.op)(node.target, args, kwargs)
            for source in self._interpreter.user_to_last_uses.get(node, ()) if known else ():
                values.pop(source, None)
        return values
