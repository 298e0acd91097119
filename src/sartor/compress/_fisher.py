"""How much an error at a layer's output costs the network's output distribution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sartor.graph import Network

_BATCH = 32


def output_sensitivity(network: Network, inputs: tuple[Tensor, ...], generator: torch.Generator) -> dict[str, Tensor]:
    """Per layer, (out channels,): estimated KL divergence in nats per unit of mean squared error at that output channel.

    Half the diagonal of the Fisher information: squared gradients of the log-likelihood of labels drawn from the network's
    own predictions, summed over positions, averaged over images. Ones for networks whose output is no table of scores.
    """
    names = [layer.name for layer in network.layers]
    sums = {name: torch.zeros(network.layer_by_name[name].out_channels) for name in names}
    outputs: dict[str, list[Tensor]] = {}

    def hook(name: str):  # type: ignore[no-untyped-def]
        return lambda module, args, output: outputs.setdefault(name, []).append(output)

    handles = [network.module.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    count = len(inputs[0])
    try:
        with torch.enable_grad():
            for start in range(0, count, _BATCH):
                outputs.clear()
                batch = tuple(item[start : start + _BATCH].clone().requires_grad_(item.is_floating_point()) for item in inputs)
                logits = network.module(*batch)
                if not isinstance(logits, Tensor) or logits.dim() != 2:
                    return {name: torch.ones_like(value) for name, value in sums.items()}
                labels = torch.multinomial(logits.detach().softmax(1), 1, generator=generator)[:, 0]
                loss = F.cross_entropy(logits, labels, reduction="sum")
                flat = [(name, output) for name, calls in outputs.items() for output in calls]
                gradients = torch.autograd.grad(loss, [output for _, output in flat], allow_unused=True)
                for (name, _), gradient in zip(flat, gradients, strict=True):
                    if gradient is not None:
                        axis = -1 if network.layer_by_name[name].kind == "linear" else 1
                        sums[name] += gradient.square().movedim(axis, 0).flatten(1).sum(1)
    finally:
        for handle in handles:
            handle.remove()
    return {name: value / (2 * count) for name, value in sums.items()}
