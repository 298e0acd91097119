"""What a network gives, however it is nested."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def tensors_in(output: Any) -> list[Tensor]:
    """All floating-point tensors of an output."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    return (
        [tensor for item in output for tensor in tensors_in(item)]
        if isinstance(output, (tuple, list))
        else []
    )


def differ(mine: Any, theirs: Any, tolerance: float) -> bool:
    """Whether two outputs differ in shape, or by more than a share of the largest number of ``theirs``; NaN differs from all."""
    first, second = tensors_in(mine), tensors_in(theirs)
    if [item.shape for item in first] != [item.shape for item in second]:
        return True
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if b.numel()]
    return any(
        not float((a - b).abs().max()) <= tolerance * max(1e-6, float(b.abs().max()))
        for a, b in pairs
    )
