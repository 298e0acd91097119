"""What a network gives, however it is nested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

#: Outputs smaller than this throughout are compared as if the largest were this.
_SMALLEST = 1e-6


def parts_of(output: Any) -> list[Any]:
    """What a mapping, a tuple, a list or a dataclass holds, in order; nothing of anything else.

    >>> parts_of({"logits": 1, "loss": None})
    [1, None]
    >>> parts_of("logits")
    []
    """
    # Mappings first: outputs of transformers are both.
    if isinstance(output, Mapping):
        return list(output.values())
    if isinstance(output, (tuple, list)):
        return list(output)
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [getattr(output, field.name) for field in dataclasses.fields(output)]
    return []


def tensors_in(output: Any) -> list[Tensor]:
    """All floating-point tensors of an output, in order, however they are nested.

    >>> import torch
    >>> [len(tensor) for tensor in tensors_in({"a": torch.ones(2), "b": [torch.ones(3), 1]})]
    [2, 3]
    """
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []

    found: list[Tensor] = []
    for item in parts_of(output):
        found += tensors_in(item)
    return found


def differ(mine: Any, theirs: Any, tolerance: float) -> bool:
    """Whether two outputs differ in shape, or by more than a share of the largest of ``theirs``.

    NaN differs from all.

    >>> import torch
    >>> differ(torch.tensor([1.0, 2.1]), torch.tensor([1.0, 2.0]), tolerance=0.1)
    False
    """
    first = tensors_in(mine)
    second = tensors_in(theirs)
    if [item.shape for item in first] != [item.shape for item in second]:
        return True

    for a, b in zip(first, second, strict=True):
        if not b.numel():
            continue

        largest = float(b.abs().max())
        difference = float((a - b).abs().max())
        allowed = tolerance * max(_SMALLEST, largest)

        # Not ``difference > allowed``, which is false for NaN.
        if not difference <= allowed:
            return True

    return False
