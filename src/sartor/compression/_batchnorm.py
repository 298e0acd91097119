"""Re-estimating batch-norm statistics of a pruned network."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import with_tensors
from sartor.graph import walk


@torch.no_grad()
def reestimate(network: fx.GraphModule, inputs: tuple[Tensor, ...]) -> None:
    """Set running mean and variance of every batch norm to those of its inputs now, front to back, in one pass."""
    norms = {
        node.name: str(node.target)
        for node in network.graph.nodes
        if node.op == "call_module"
        and isinstance(network.get_submodule(str(node.target)), (nn.BatchNorm1d, nn.BatchNorm2d))
    }
    feeding: dict[str, list[str]] = {}
    for node in network.graph.nodes:
        if node.name in norms:
            feeding.setdefault(node.all_input_nodes[0].name, []).append(norms[node.name])

    def visit(node: fx.Node, value: Tensor) -> None:
        for name in feeding.get(node.name, ()):
            axes = [0, *range(2, value.dim())]
            statistics = {
                "running_mean": value.mean(axes),
                "running_var": value.var(axes, correction=0),
            }
            network.set_submodule(name, with_tensors(network.get_submodule(name), statistics))

    walk(network, inputs, visit)
