"""Whether integer kernels lose large sums.

x86 processors without VNNI add two products of 8 bits in 16, and clip.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from sartor.compression import INTEGER, quantize
from sartor.policy import Policy
from sartor.targets._base import Target

_CHANNELS = 16
_PIXELS = 8
#: Relative error of outputs above which sums were clipped: rounding errs by less than a hundredth,
#: clipping by half.
_CLIPPED = 0.1


def saturates(target: Target) -> bool:
    """Run the largest weights on the largest inputs on a target, and see if the sums are right."""
    largest = torch.ones(1, _CHANNELS, _PIXELS, _PIXELS)
    network = _largest_weights(largest)

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / f"largest{target.suffix}"
        artifact = target.build(network, (largest,), path)
        session = target.load(artifact)

        expected = network(largest)
        outputs = session.run([largest.numpy()])

    found = torch.from_numpy(outputs[0])
    error = (found - expected).abs().max()
    size = expected.abs().max()
    return bool(error > _CLIPPED * size)


def _largest_weights(example: Tensor) -> fx.GraphModule:
    """Two quantized convolutions whose weights are all the same."""
    # the result of a last layer is not rounded, so no integer kernel runs it: the first one counts
    first = nn.utils.skip_init(nn.Conv2d, _CHANNELS, _CHANNELS, kernel_size=3)
    second = nn.utils.skip_init(nn.Conv2d, _CHANNELS, _CHANNELS, kernel_size=1)
    layers = nn.Sequential(first, nn.ReLU(), second)
    for parameter in layers.parameters():
        nn.init.ones_(parameter)
    network = fx.symbolic_trace(layers.eval())

    # names of the two in the sequence
    bits = dict.fromkeys(("0", "2"), 8)
    policy = Policy(weight_bits=bits, activation_bits=bits)
    return quantize(network, policy, (example,), INTEGER)
