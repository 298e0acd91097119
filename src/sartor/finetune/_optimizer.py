"""The optimizer, and what it carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sartor.finetune._options import FinetuneOptions

#: Under this name SGD keeps the momentum of a parameter.
_MOMENTUM = "momentum_buffer"


def make_optimizer(student: nn.Module, options: FinetuneOptions) -> torch.optim.SGD:
    """SGD without weight decay of biases and batch norms, which have one axis."""
    parameters = list(student.parameters())
    weights = [item for item in parameters if item.dim() > 1]
    others = [item for item in parameters if item.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups,
        momentum=options.momentum,
        # Nesterov's is refused without momentum.
        nesterov=options.momentum > 0,
    )


def momentum_of(optimizer: torch.optim.SGD, student: nn.Module) -> dict[str, Tensor]:
    """Momentum by the number of its parameter; there is none before the first step."""
    # Numbers, because the optimizer knows parameters only as objects.
    momentum = {}
    for index, item in enumerate(student.parameters()):
        known = optimizer.state[item]
        if _MOMENTUM in known:
            momentum[str(index)] = known[_MOMENTUM]
    return momentum


def restore_momentum(
    optimizer: torch.optim.SGD, student: nn.Module, momentum: Mapping[str, Tensor]
) -> None:
    """Set what `momentum_of` gave."""
    for index, item in enumerate(student.parameters()):
        if str(index) in momentum:
            buffer = momentum[str(index)]
            optimizer.state[item][_MOMENTUM] = buffer.to(item.device)
