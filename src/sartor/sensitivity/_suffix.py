"""A network that ran once; for every change, only what lies behind it runs again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import winograd_layer, with_winograd
from sartor.graph import Walk
from sartor.machine import channels_last, map_on_threads
from sartor.tasks import CLASSIFICATION, Task

#: Images that one core runs at once, and that a GPU does.
_BATCH = 64
_BATCH_ON_GPU = 256

#: All values of one batch.
Values = dict[fx.Node, Any]


class SuffixRunner:
    """A network that ran on some images, with every intermediate value.

    Attributes:
        network: As it was given.
        fast: The same with faster convolutions, which is what runs.
        values: What each node of ``fast`` gave, batch by batch.
        task: How far outputs are from those of the network as it was given.
    """

    def __init__(
        self,
        network: fx.GraphModule,
        fast: fx.GraphModule,
        values: list[Values],
        task: Task = CLASSIFICATION,
    ) -> None:
        self.network = network
        self.fast = fast
        self.values = values
        self.task = task

    @classmethod
    def of(
        cls, network: fx.GraphModule, images: Tensor, task: Task = CLASSIFICATION
    ) -> SuffixRunner:
        """Run a network on normalised images, which are where it is, in the type of its weights."""
        fast = with_winograd(network)
        pixels = channels_last(images.to(_dtype(network)))
        batches = pixels.split(_BATCH if pixels.device.type == "cpu" else _BATCH_ON_GPU)
        values = map_on_threads(partial(_all_values, fast), batches)
        return cls(network, fast, values, task)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return _dtype(self.network)

    def inputs_of(self, layer: str) -> list[Tensor]:
        """What a layer reads, batch by batch, one call after the other where it is called again."""
        calls = [node for node in self.fast.graph.nodes if _calls(node, layer)]
        sources = [call.all_input_nodes[0] for call in calls]
        return [values[source] for source in sources for values in self.values]

    def divergence(self, replaced: Mapping[str, nn.Module]) -> float:
        """Ω of the network with some modules replaced."""
        if not replaced:
            return 0.0

        fast = {name: winograd_layer(module) for name, module in replaced.items()}
        of_batch = partial(self._divergence_of_batch, fast)
        count = 0
        total = 0.0
        # The last batch may have fewer images than the others, so means are weighted.
        for images, mean in map_on_threads(of_batch, self.values):
            count += images
            total += images * mean

        return max(0.0, total / count)  # rounding may leave a negative zero

    @torch.no_grad()
    def _divergence_of_batch(
        self, replaced: Mapping[str, Callable[..., Any]], values: Values
    ) -> tuple[int, float]:
        """Images of a batch and their mean divergence."""
        # Without inputs: what lies before the replaced modules is known.
        walk = Walk(
            self.fast,
            [],
            replaced=replaced,
            known=values,
        )
        changed = self.task.outputs(walk.run())

        *_, output = self.fast.graph.nodes
        original = self.task.outputs(values[output])

        distances = self.task.divergences(changed, original)
        return len(distances), float(distances.mean())


@torch.no_grad()
def _all_values(network: fx.GraphModule, images: Tensor) -> Values:
    walk = Walk(network, [images], keep=True)
    walk.run()
    return walk.values


def _calls(node: fx.Node, layer: str) -> bool:
    return node.op == "call_module" and node.target == layer


def _dtype(network: nn.Module) -> torch.dtype:
    parameter = next(iter(network.parameters()))
    return parameter.dtype
