"""Devices that PyTorch computes on: what they are called and which numbers they compute with."""

from __future__ import annotations

from functools import cache

import torch

from sartor.errors import UsageError
from sartor.targets._onnx_target import processor

_KINDS = ("cpu", "cuda", "mps")
#: Formats of numbers by name, the widest first.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def find_device(text: str) -> torch.device:
    """The device of a name: cpu, cuda, cuda:1, mps.

    Raises `UsageError` for a name that is none and for what this machine lacks.

    >>> find_device("cpu")
    device(type='cpu')
    >>> find_device("tpu")
    Traceback (most recent call last):
    sartor.errors.UsageError: device 'tpu' is not known; allowed are cpu, cuda, cuda:1, mps
    """
    kind, _, index = text.partition(":")
    well_formed = kind in _KINDS and (not index or index.isdecimal())
    if not well_formed or text.endswith(":"):
        raise UsageError(f"device {text!r} is not known; allowed are cpu, cuda, cuda:1, mps")

    present = _count(kind)
    if int(index or 0) >= present:
        raise UsageError(
            f"device {text} is not there: torch {torch.__version__} finds {present} of kind {kind}"
        )
    return torch.device(text)


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


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1


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
