"""Re-estimating batch-norm statistics of a pruned network."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from sartor.compression.modules import BATCH_NORMS, with_tensors
from sartor.graph import walk


@torch.no_grad()
def reestimate(network: fx.GraphModule, inputs: tuple[Tensor, ...]) -> None:
    """Set mean and variance of every batch norm to those of what it reads now.

    Front to back in one pass, so that later ones see what earlier ones then give.
    """
    readers: dict[str, list[str]] = {}
    for node in network.graph.nodes:
        if node.op == "call_module" and _is_batch_norm(network, node):
            source = node.all_input_nodes[0].name
            readers.setdefault(source, []).append(str(node.target))

    def visit(node: fx.Node, value: Tensor) -> None:
        for name in readers.get(node.name, ()):
            axes = [0, *range(2, value.dim())]
            statistics = {
                "running_mean": value.mean(axes),
                "running_var": value.var(axes, correction=0),
            }
            network.set_submodule(name, with_tensors(network.get_submodule(name), statistics))

    walk(network, inputs, visit)


def _is_batch_norm(network: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(network.get_submodule(str(node.target)), BATCH_NORMS)
