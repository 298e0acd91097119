"""The number format that a network is computed in fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fx

from sartor.compression.modules._fold import fold
from sartor.compression.modules._placement import device_of
from sartor.graph import tensors_in
from sartor.machine import channels_last, half_format_of_gpu, seeded

#: Inputs that a network is tried on.
_TRIED = 2
#: Largest deviation from fp32, relative to the length of an output; that of 8 bits of mantissa
#: is 0.01 to 0.05 in deep networks.
_TOLERANCE = 0.25


def fastest_dtype(network: fx.GraphModule, inputs: Sequence[Tensor]) -> torch.dtype:
    """16 bits where the device is fast at them and the network computes the same, else float32.

    That is bfloat16, or float16 on GPUs that are not fast at it. The network is tried once, on the
    first of ``inputs`` (count, …), which are where it is: a forward pass that makes fp32 tensors of
    its own may fail on weights of 16 bits.
    """
    half = _fast_format(device_of(network))
    if half is None:
        return torch.float32
    few = [item[:_TRIED] for item in inputs]
    if _computes_in(half, network, few):
        return half
    return torch.float32


def _fast_format(device: torch.device) -> torch.dtype | None:
    """The format of 16 bits that a device is fast at; None where there is none."""
    if device.type != "cpu":
        return half_format_of_gpu(device)
    return torch.bfloat16 if processor_is_fast_in_bf16() else None


def processor_is_fast_in_bf16() -> bool:
    """Whether the processor has instructions that multiply bf16, and torch uses them."""
    if not torch.backends.mkldnn.is_available():
        return False
    if not _answers_yes(torch.ops.mkldnn, "_is_mkldnn_bf16_supported"):
        return False

    # Other processors emulate bf16, which is slower than fp32.
    instructions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(_answers_yes(torch.cpu, query) for query in instructions)


def _answers_yes(module: object, name: str) -> bool:
    """What one of torch's private questions answers; False in versions that lack it."""
    question = getattr(module, name, None)
    return question is not None and bool(question())


def _computes_in(half: torch.dtype, network: fx.GraphModule, inputs: Sequence[Tensor]) -> bool:
    try:
        found = _outputs(network, inputs, half)
        expected = _outputs(network, inputs, torch.float32)
    except Exception:  # a user's forward pass may raise anything
        return False

    for mine, exact in zip(found, expected, strict=True):
        if not bool(exact.isfinite().all()):
            continue

        is_near = _deviation(mine, exact) <= _TOLERANCE
        if not is_near:
            return False

    return True


@torch.no_grad()
def _outputs(network: fx.GraphModule, inputs: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Floating-point outputs, in fp32; what is drawn in a forward pass is drawn alike each time."""
    cast = []
    for item in inputs:
        given = item.to(dtype) if item.is_floating_point() else item
        cast.append(channels_last(given))

    with seeded(0, device_of(network)):
        folded = fold(network, dtype)
        outputs = folded(*cast)

    return [output.float() for output in tensors_in(outputs)]


def _deviation(found: Tensor, expected: Tensor) -> float:
    """Distance relative to the length of what was expected; infinite for what is no number."""
    distance = float((found - expected).norm())
    length = max(float(expected.norm()), 1e-12)
    if math.isnan(distance):
        return math.inf
    return distance / length
