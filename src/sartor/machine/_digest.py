"""A number that tells sets of tensors apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def digest(tensors: Mapping[str, Tensor], *others: object) -> str:
    """SHA-256, in hexadecimal, of named tensors and of what else counts (by its ``repr``).

    Names, order, types, shapes and values all count; device and memory format do not.

    >>> digest({"weight": torch.zeros(2)}) == digest({"weight": torch.zeros(2)})
    True
    >>> digest({"weight": torch.zeros(2)}) == digest({"weight": torch.zeros(1, 2)})
    False
    """
    found = hashlib.sha256()
    for name, tensor in tensors.items():
        description = f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        found.update(description.encode())

        # As bytes, because NumPy has no bfloat16.
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        values = plain.view(torch.uint8).numpy()
        found.update(values.tobytes())

    found.update(repr(others).encode())
    return found.hexdigest()
