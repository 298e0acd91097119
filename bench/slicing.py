"""Random policies on every network of the zoo: sliced against masked, and saved against reloaded.

python bench/slicing.py    # prints a Markdown table

A saved network is reloaded in a fresh process and must give the same outputs bit by bit.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from _common import print_header, print_row
from sartor import models
from sartor.compression import CompressOptions, Compressor, Origin, mask, save_network
from sartor.graph import trace
from sartor.policy import Policy

POLICIES = 5
CLASSES = 10
CASES = [(name, 32) for name in models.NAMES if name != "resnet50"] + [
    ("mobilenet_v1", 224),
    ("mobilenet_v2", 224),
    ("resnet50", 224),
]
#: What the fresh process runs.
RELOAD = """
import sys, torch, sartor
from safetensors.torch import load_file, save_file
folder = sys.argv[1]
images = load_file(folder + "/x.safetensors")["x"]
with torch.no_grad():
    outputs = sartor.load(folder)(images)
save_file({"y": outputs}, folder + "/y.safetensors")
"""


def main() -> None:
    """Print the table."""
    print_header(
        "network",
        "pixels",
        "groups",
        "largest relative difference, sliced – masked",
        "reloaded bit-equal",
    )
    for name, pixels in CASES:
        model = _randomized(models.build(name, pixels=pixels, classes=CLASSES))
        network = trace(model, torch.zeros(1, 3, pixels, pixels))
        compressor = Compressor(network, None, CompressOptions())
        differences = []
        for seed in range(POLICIES):
            policy = _random_policy(compressor, seed)
            differences.append(_difference(compressor, policy, _images(pixels, seed)))

        first = _random_policy(compressor, seed=0)
        equal = _reloads_equal(compressor, first, Origin(name, CLASSES, pixels), _images(pixels, 0))
        worst = f"{max(differences):.1e}"
        print_row(name, pixels, len(network.groups), worst, "yes" if equal else "NO")


def _random_policy(compressor: Compressor, seed: int) -> Policy:
    rng = np.random.default_rng(seed)
    groups = compressor.network.groups
    return Policy({group.name: float(rng.uniform(0.05, 1)) for group in groups})


def _images(pixels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, pixels, pixels, generator=generator)


@torch.no_grad()
def _difference(compressor: Compressor, policy: Policy, images: Tensor) -> float:
    """Of the outputs, relative to the largest."""
    sliced = compressor.candidate(policy)(images)
    masked = mask(compressor.network, compressor.kept(policy))(images)
    return float((sliced - masked).abs().max() / masked.abs().max())


def _reloads_equal(compressor: Compressor, policy: Policy, origin: Origin, images: Tensor) -> bool:
    candidate = compressor.candidate(policy)
    with torch.no_grad():
        outputs = candidate(images)
    with tempfile.TemporaryDirectory() as folder:
        save_network(
            Path(folder),
            compressor.network,
            candidate,
            policy,
            kept=compressor.kept(policy),
            origin=origin,
        )
        save_file({"x": images}, f"{folder}/x.safetensors")
        subprocess.run([sys.executable, "-c", RELOAD, folder], check=True)
        again = load_file(f"{folder}/y.safetensors")["y"]
    return torch.equal(again, outputs)


def _randomized(model: nn.Module) -> nn.Module:
    """The same with batch norms that are not the identity."""
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
