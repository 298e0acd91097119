"""Where networks are computed: on the processor or on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sartor.errors import UsageError
from sartor.machine._device_name import require_device_name

CPU = torch.device("cpu")

#: Of a GPU's memory, the part that inputs which are ready may take.
_SHARE_OF_INPUTS = 8
#: What they may take of the processor's, in bytes.
_INPUTS_ON_CPU = 2**25

#: The first generations of Nvidia's GPUs that multiply bf16, and fp16, faster than fp32.
_FAST_IN_BF16 = (8, 0)
_FAST_IN_FP16 = (7, 0)


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the present CUDA GPU where there is one, else the CPU.

    GPUs have their number, so that devices can be compared. Raises `UsageError` for what is no
    name, and for a device that this machine does not have.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    require_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"

    full_name = name
    if name == "cuda" and torch.cuda.is_available():
        full_name = f"cuda:{torch.cuda.current_device()}"
    allowed = _devices_here()
    if full_name in allowed:
        return torch.device(full_name)

    names = ", ".join(["auto", *allowed])
    raise UsageError(f"device {name!r}: {_gpus_here()}; allowed are {names}")


def describe_device(device: torch.device) -> str:
    """A device with what it is.

    >>> describe_device(CPU)
    'cpu'
    """
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def synchronize(device: torch.device) -> None:
    """Wait until all that was asked of a device is done; the CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def room_for_inputs(device: torch.device) -> int:
    """How many bytes of inputs may be kept ready on a device."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return int(memory // _SHARE_OF_INPUTS)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() // _SHARE_OF_INPUTS)
    return _INPUTS_ON_CPU


def solving_device(device: torch.device) -> torch.device:
    """Where linear systems on a device are solved: Apple's GPUs lack the decompositions."""
    return CPU if device.type == "mps" else device


def half_format_of_gpu(device: torch.device) -> torch.dtype | None:
    """The 16-bit format that a GPU multiplies faster than fp32; None where there is none."""
    if device.type != "cuda":
        return None

    generation = torch.cuda.get_device_capability(device)
    if generation >= _FAST_IN_BF16:
        return torch.bfloat16
    if generation >= _FAST_IN_FP16:
        return torch.float16
    return None


@contextmanager
def reproducible(device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """Let a GPU compute fp32 in fp32, and the same each time; settings are put back at the end.

    By default cuDNN multiplies fp32 in TF32, of 10 bits, which ``tf32`` leaves as it is, and sums
    in whatever order. Nothing changes on the CPU.
    """
    if device.type != "cuda":
        yield
        return

    cudnn: Any = torch.backends.cudnn
    settings: list[tuple[Any, str, object]] = [
        (cudnn, "benchmark", False),
        (cudnn, "deterministic", True),
    ]
    if not tf32:
        matmul: Any = torch.backends.cuda.matmul
        settings += [(cudnn.conv, "fp32_precision", "ieee"), (matmul, "fp32_precision", "ieee")]

    before = [getattr(holder, name) for holder, name, _ in settings]
    try:
        for holder, name, value in settings:
            setattr(holder, name, value)
        yield
    finally:
        for (holder, name, _), value in zip(settings, before, strict=True):
            setattr(holder, name, value)


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """Raise `UsageError` where a GPU has too little memory for what is done inside."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        first, *_ = str(error).splitlines()
        raise UsageError(
            f"device {str(device)!r} has too little memory ({first}); use fewer calibration "
            "images (compress.images, compress.final_images), or device='cpu'"
        ) from error


def _devices_here() -> list[str]:
    """The names of the devices that this machine has."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _gpus_here() -> str:
    """In words, which GPUs this machine has."""
    gpus = _devices_here()[1:]
    if not gpus:
        return "this machine has no GPU that torch can use"
    first, *others = gpus
    if not others:
        return f"this machine has {first}"
    return f"this machine has {first} to {others[-1]}"
