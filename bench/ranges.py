"""EfficientNet-Lite0 with all layers in 8 bits, by how ranges of activations are taken.

    python bench/ranges.py

Ranges are of 32 training photos; what is counted are the 300 validation photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from _common import SHARED, print_header, print_row
from imagenet import INPUTS, MODEL, compared
from sartor.compression import INTEGER, CompressOptions, Compressor
from sartor.graph import trace
from sartor.policy import Policy
from sartor.runs import SubjectSource

_PHOTOS = 32
_METHODS: tuple[Literal["minmax", "percentile", "mse"], ...] = ("minmax", "percentile", "mse")


@dataclass(frozen=True)
class Compared:
    """Every method.

    Attributes:
        shared: Folder of the network and the photos.
        threads: Of PyTorch.
    """

    shared: Path = SHARED
    threads: int = 2

    def run(self) -> None:
        """Print the table."""
        torch.set_num_threads(self.threads)
        weights = self.shared / "models/efficientnet_lite0-imagenet.safetensors"
        photos = self.shared / "data/imagenet1000"
        source = SubjectSource(MODEL, weights, str(photos), inputs=INPUTS)
        subject, data = source.load_both(calibration=_PHOTOS)
        network = trace(subject.model, data.validation.batch(slice(0, 1)))
        images = data.calibration.batch(slice(0, _PHOTOS))
        bits = {layer.name: 8 for layer in network.layers}
        policy = Policy(weight_bits=bits, activation_bits=bits)

        print_header("ranges", "top-1", "agreement", "divergence")
        for method in _METHODS:
            options = CompressOptions(images=_PHOTOS, range_images=_PHOTOS, ranges=method)
            candidate = Compressor(network, images, options, scheme=INTEGER).candidate(policy)
            found = compared(network.module, candidate, data.validation)
            agreement = f"{found['agreement']:.1f}"
            print_row(method, f"{found['top1']:.1f}", agreement, f"{found['divergence']:.4f}")


if __name__ == "__main__":
    tyro.cli(Compared).run()
