"""The optimizer, and what it carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sartor.finetune._options import FinetuneOptions


def make_optimizer(student: nn.Module, options: FinetuneOptions) -> torch.optim.Optimizer:
    """SGD or AdamW without weight decay of biases and batch norms, which have one axis."""
    parameters = list(student.parameters())
    weights = [item for item in parameters if item.dim() > 1]
    others = [item for item in parameters if item.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if options.optimizer == "adam":
        return torch.optim.AdamW(groups, betas=(options.momentum, 0.999))
    return torch.optim.SGD(
        groups,
        momentum=options.momentum,
        # Nesterov's is refused without momentum.
        nesterov=options.momentum > 0,
    )


def carried_by(optimizer: torch.optim.Optimizer, student: nn.Module) -> dict[str, Tensor]:
    """What is carried, by the number of its parameter and its name; nothing before a step."""
    # Numbers, because the optimizer knows parameters only as objects.
    carried = {}
    for index, item in enumerate(student.parameters()):
        for name, value in optimizer.state[item].items():
            if isinstance(value, Tensor):
                carried[f"{index}/{name}"] = value
    return carried


def restore_carried(
    optimizer: torch.optim.Optimizer, student: nn.Module, carried: Mapping[str, Tensor]
) -> None:
    """Set what `carried_by` gave, and nothing else."""
    parameters = list(student.parameters())
    optimizer.state.clear()
    for key, value in carried.items():
        index, _, name = key.partition("/")
        item = parameters[int(index)]
        # Counts of steps have no axis, and stay on the CPU.
        device = item.device if value.dim() else value.device
        # A copy, for it is written to in place.
        optimizer.state[item][name] = value.to(device, copy=True)
