"""How images lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last(x: Tensor) -> Tensor:
    """The memory layout in which convolutions run fastest, for whatever has channels and two dimensions beside them."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
