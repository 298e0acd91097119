"""What may be wrong with a network, and the answers by which that is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sartor.tasks import first_tensor

#: Images per forward pass.
_BATCH = 50


@dataclass(frozen=True)
class Cause:
    """Why a network answers wrongly.

    Attributes:
        sentence: In words, without a full stop.
        certain: Whether it was tried, and mending it made the answers right.
        right: The share of answers that mending it made right.
    """

    sentence: str
    certain: bool = False
    right: float = 0.0


@torch.no_grad()
def answers(network: Callable[[Tensor], object] | nn.Module, images: Tensor) -> Tensor:
    """The classes (count,) that a network answers normalised images (count, …) with."""
    found = []
    for batch in images.split(_BATCH):
        scores = first_tensor(network(batch))
        found.append(scores.argmax(-1))
    return torch.cat(found)
