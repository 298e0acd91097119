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
    readers = _norms_by_source(network)

    def visit(node: fx.Node, value: Tensor) -> None:
        for name in readers.get(node.name, ()):
            norm = network.get_submodule(name)
            statistics = _statistics(value)
            reestimated = with_tensors(norm, statistics)

            # The walk comes to the norm after its source, and calls the new one.
            network.set_submodule(name, reestimated)

    walk(network, inputs, visit)


def _norms_by_source(network: fx.GraphModule) -> dict[str, list[str]]:
    """By node, the batch norms that read it."""
    readers: dict[str, list[str]] = {}
    for node in network.graph.nodes:
        if node.op != "call_module" or not _is_batch_norm(network, node):
            continue

        source = node.all_input_nodes[0]
        readers.setdefault(source.name, []).append(str(node.target))
    return readers


def _statistics(value: Tensor) -> dict[str, Tensor]:
    """Mean and variance of every channel, over images and positions."""
    axes = [0, *range(2, value.dim())]
    # By the count, not by one less: this is what a batch norm divides by in training.
    return {
        "running_mean": value.mean(axes),
        "running_var": value.var(axes, correction=0),
    }


def _is_batch_norm(network: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(network.get_submodule(str(node.target)), BATCH_NORMS)
