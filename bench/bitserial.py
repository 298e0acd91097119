"""What few bits cost: layers of ResNet-18 in ONNX Runtime, and in the kernel for few bits.

python bench/bitserial.py
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import nn

from _common import print_header, print_row
from sartor.compression import deployable, quantize
from sartor.graph import LayerSpec, trace
from sartor.models import build
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets import BitSerialTarget

#: Bits of weights and activations.
_PAIRS = ((8, 8), (1, 1), (1, 2), (2, 2), (3, 3), (4, 4), (6, 6), (8, 7))


@dataclass(frozen=True)
class Arguments:
    """A table of milliseconds.

    Attributes:
        model: A network of the zoo.
        runs: Of each layer; the fastest counts.
        threads: Of the runtime.
    """

    model: str = "resnet18"
    runs: int = 300
    threads: int = 1


def main() -> None:
    """One row for each kind of layer."""
    arguments = tyro.cli(Arguments)
    target = BitSerialTarget(threads=arguments.threads)
    network = trace(build(arguments.model).eval().requires_grad_(False), torch.zeros(1, 3, 32, 32))
    layers = [layer for layer in network.layers if (2, 2) in target.allowed(layer)]
    counted: dict[tuple[object, ...], list[LayerSpec]] = {}
    for layer in layers:
        key = (layer.in_channels, layer.out_channels, layer.kernel, layer.stride, layer.input_size)
        counted.setdefault(key, []).append(layer)

    print_header("layer", "count", "fp32", *(f"W{bits}A{read}" for bits, read in _PAIRS))
    for alike in counted.values():
        layer = alike[0]
        times = [_milliseconds(target, layer, pair, arguments.runs) for pair in _columns()]
        shape = f"{layer.in_channels} → {layer.out_channels}, {layer.kernel}, {layer.input_size}"
        print_row(shape, len(alike), *(f"{time:.3f}" for time in times))


def _columns() -> list[tuple[int, int]]:
    return [(FULL_WIDTH, FULL_WIDTH), *_PAIRS]


def _milliseconds(
    target: BitSerialTarget, layer: LayerSpec, pair: tuple[int, int], runs: int
) -> float:
    """The fastest run of a network of this one layer."""
    module: nn.Module = nn.Linear(layer.in_channels, layer.out_channels)
    sizes: tuple[int, ...] = ()
    if layer.kind == "conv":
        (side, _), (step, _) = layer.kernel, layer.stride
        module = nn.Conv2d(layer.in_channels, layer.out_channels, side, step, side // 2)
        sizes = layer.input_size
    # What ends a network is not rounded, and so no integer kernel would run.
    behind = nn.AdaptiveAvgPool2d(1) if sizes else nn.ReLU()
    images = torch.rand(2, layer.in_channels, *sizes)
    single = trace(nn.Sequential(module, behind).eval().requires_grad_(False), images[:1])

    bits, read = pair
    name = single.layers[0].name
    policy = Policy()
    if bits < FULL_WIDTH:
        policy = Policy(weight_bits={name: bits}, activation_bits={name: read})
    candidate = quantize(single.module, policy, (images,), target.scheme)
    with tempfile.TemporaryDirectory() as folder:
        path = target.build(deployable(candidate), (images[:1],), Path(folder) / "layer.onnx")
        session = target.load(path)
        return 1000 * min(session.seconds() for _ in range(runs))


if __name__ == "__main__":
    main()
