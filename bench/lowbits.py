"""ResNet-20 with all layers in few bits: as calibrated, and repaired without labels.

python bench/lowbits.py --bits 8,8 4,4 3,3 --shown 16384
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from _common import SHARED, print_header, print_row, subject
from sartor.compression import INTEGER, CompressOptions, Compressor
from sartor.graph import trace
from sartor.machine import reproducible
from sartor.policy import Policy
from sartor.repair import RepairOptions, repair
from sartor.scoring import ImageScorer


@dataclass(frozen=True)
class Arguments:
    """Repairs of quantized networks.

    Attributes:
        bits: Of weights and of activations, all layers alike.
        ranges: How ranges of activations are calibrated.
        rounding: How weights are rounded before anything is trained.
        shown: Images that each network is shown.
        pool: Calibration images that these are drawn from.
        seed: Of repairs.
        model: Name of the network.
        shared: Folder of networks and data.
    """

    bits: tuple[tuple[int, int], ...] = ((8, 8), (4, 4), (3, 3), (2, 2))
    ranges: Literal["minmax", "percentile", "mse"] = "mse"
    rounding: Literal["fitted", "nearest"] = "fitted"
    shown: int = 16_384
    pool: int = 10_000
    seed: int = 0
    model: str = "resnet20"
    shared: Path = SHARED


def main() -> None:
    """Print a table."""
    arguments = tyro.cli(Arguments)
    torch.set_num_threads(1)
    model, data = subject(arguments.model, calibration=arguments.pool, shared=arguments.shared)
    assert data.test is not None
    few = data.calibration.batch(slice(0, 2048))
    network = trace(model, few[:1])
    compress = CompressOptions(ranges=arguments.ranges, rounding=arguments.rounding)
    compressor = Compressor(network, few, compress, scheme=INTEGER)
    scorers = [ImageScorer(images) for images in (data.validation, data.test)]
    print_header(
        "weights, activations",
        "validation: calibrated, repaired",
        "test: calibrated, repaired",
        "distance on images held out",
        "learning rate",
        "seconds",
    )
    layers = [layer.name for layer in network.layers]
    options = RepairOptions(shown=arguments.shown, seed=arguments.seed)
    with reproducible(torch.device("cpu")):
        for weights, activations in arguments.bits:
            policy = Policy(
                weight_bits=dict.fromkeys(layers, weights),
                activation_bits=dict.fromkeys(layers, activations),
            )
            candidate = compressor.candidate(policy, final=True)
            found = repair(candidate, network.module, data.calibration, options, policy=policy)
            before, after = (
                [100 * scorer.score(item).accuracy for scorer in scorers]
                for item in (candidate, found.model)
            )
            print_row(
                f"{weights}, {activations}",
                *(f"{first:.2f} → {last:.2f}" for first, last in zip(before, after, strict=True)),
                f"{found.before:.4f} → {found.after:.4f}",
                found.learning_rate,
                round(found.seconds),
            )


if __name__ == "__main__":
    main()
