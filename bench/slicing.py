"""Random policies on every zoo network: sliced against masked, and a saved network against itself in a fresh process.

python bench/slicing.py            # prints a Markdown table
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sartor import models
from sartor.compression import CompressOptions, Compressor, Origin, mask, save_network
from sartor.graph import trace
from sartor.policy import Policy

POLICIES = 5
CASES = [(name, 32) for name in models.NAMES if name != "resnet50"] + [
    ("mobilenet_v1", 224),
    ("mobilenet_v2", 224),
    ("resnet50", 224),
]
FRESH = """
import sys, torch, sartor
from safetensors.torch import load_file, save_file
with torch.no_grad():
    save_file({"y": sartor.load(sys.argv[1])(load_file(sys.argv[1] + "/x.safetensors")["x"])}, sys.argv[1] + "/y.safetensors")
"""


def main() -> None:
    """Print the table."""
    print(
        "| network | pixels | groups | largest relative difference, sliced – masked | reloaded bit-equal |\n|---|---|---|---|---|"
    )
    for name, pixels in CASES:
        model = _randomized(models.build(name, pixels=pixels, classes=10))
        network = trace(model, torch.zeros(1, 3, pixels, pixels))
        compressor = Compressor(network, None, CompressOptions())
        worst, equal = 0.0, 0
        for seed in range(POLICIES):
            rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
            policy = Policy({group.name: float(rng.uniform(0.05, 1)) for group in network.groups})
            x = torch.randn(2, 3, pixels, pixels, generator=generator)
            candidate = compressor.candidate(policy)
            with torch.no_grad():
                sliced, masked = candidate(x), mask(network, compressor.kept(policy))(x)
            worst = max(worst, float((sliced - masked).abs().max() / masked.abs().max()))
            if seed == 0:
                equal = _reloads_equal(compressor, policy, Origin(name, 10, pixels), x)
        print(
            f"| {name} | {pixels} | {len(network.groups)} | {worst:.1e} | {'yes' if equal else 'NO'} |",
            flush=True,
        )


def _reloads_equal(compressor: Compressor, policy: Policy, origin: Origin, x: torch.Tensor) -> bool:
    from safetensors.torch import load_file, save_file

    candidate = compressor.candidate(policy)
    with torch.no_grad():
        y = candidate(x)
    with tempfile.TemporaryDirectory() as folder:
        save_network(
            Path(folder),
            compressor.network,
            candidate,
            policy,
            kept=compressor.kept(policy),
            origin=origin,
        )
        save_file({"x": x}, f"{folder}/x.safetensors")
        subprocess.run([sys.executable, "-c", FRESH, folder], check=True)
        return bool(torch.equal(load_file(f"{folder}/y.safetensors")["y"], y))


def _randomized(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


if __name__ == "__main__":
    main()
