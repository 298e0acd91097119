"""Whether integer kernels lose large sums: x86 processors without VNNI add two products of 8 bits in 16, and clip."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import fx, nn

from sartor.compression import INTEGER, quantize
from sartor.policy import Policy
from sartor.targets._base import Target

_CHANNELS, _PIXELS = 16, 8
#: Relative error of outputs above which sums were clipped: rounding errs by less than a hundredth, clipping by half.
_CLIPPED = 0.1


def saturates(target: Target) -> bool:
    """Run the largest weights on the largest inputs where the target runs, and see whether the sums are right."""
    first, second = (
        nn.utils.skip_init(nn.Conv2d, _CHANNELS, _CHANNELS, kernel) for kernel in (3, 1)
    )
    layers = nn.Sequential(first, nn.ReLU(), second)
    for parameter in layers.parameters():
        nn.init.ones_(parameter)
    largest = torch.ones(1, _CHANNELS, _PIXELS, _PIXELS)
    bits = dict.fromkeys(("0", "2"), 8)
    network = quantize(
        fx.symbolic_trace(layers.eval()),
        Policy(weight_bits=bits, activation_bits=bits),
        (largest,),
        INTEGER,
    )
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        artifact = target.build(network, (largest,), Path(folder) / f"largest{target.suffix}")
        expected, found = (
            network(largest),
            torch.from_numpy(target.load(artifact).run([largest.numpy()])[0]),
        )
    return bool((found - expected).abs().max() > _CLIPPED * expected.abs().max())
