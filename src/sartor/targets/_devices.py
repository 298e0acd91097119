"""Devices that PyTorch computes on: what they are called and which numbers they compute with."""

from __future__ import annotations

from functools import cache

import torch

from sartor.targets._onnx_target import processor

#: Formats of numbers by name, the widest first.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def device_name(device: torch.device) -> str:
    """What its maker calls it."""
    if device.type == "cuda":
        name: str = torch.cuda.get_device_name(device)
        return f"{name} ({device})"
    if device.type == "mps":
        return f"{processor()} (mps)"
    return processor()


@cache
def dtypes_of(device: torch.device) -> tuple[str, ...]:
    """Names of the formats that convolutions on a device take: tried, not guessed."""
    return tuple(name for name in DTYPES if _convolves(device, DTYPES[name]))


def _convolves(device: torch.device, dtype: torch.dtype) -> bool:
    try:
        image = torch.ones(1, 8, 8, 8, device=device, dtype=dtype)
        weight = torch.ones(8, 8, 3, 3, device=device, dtype=dtype)
        with torch.no_grad():
            outputs = torch.nn.functional.conv2d(image, weight)
    except (RuntimeError, TypeError):  # the kernel is missing, or the format itself
        return False
    # 72 products of ones: every format holds the sum
    return bool((outputs == 72).all())
