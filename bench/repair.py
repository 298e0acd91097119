"""What repairing networks without labels brings: of runs that were searched with --repair fit.

python bench/repair.py runs/a runs/b --shown 90000 --threads 2
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from _common import print_header, print_row
from sartor.compression import block_outputs, keep_safe_groups, read_policy
from sartor.graph import trace
from sartor.machine import keep_freed_memory, reproducible
from sartor.repair import RepairOptions, repair
from sartor.runs import Run
from sartor.scoring import ImageScorer

keep_freed_memory()


@dataclass(frozen=True)
class Arguments:
    """Repairs of runs.

    Attributes:
        runs: Folders of searches.
        shown: Images that each network is shown.
        pool: Calibration images that these are drawn from.
        seeds: Of repairs, each of them once.
        threads: Of PyTorch; if not given, as many as it takes by itself.
        blocks: Whether ends of blocks are learned where images are few.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    shown: int = 65_536
    pool: int = 45_000
    seeds: tuple[int, ...] = (0,)
    threads: int | None = None
    blocks: bool = True


def main() -> None:
    """Print a table."""
    arguments = tyro.cli(Arguments)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print_header(
        "run",
        "seed",
        "MACs",
        "validation: refitted, repaired",
        "test: refitted, repaired",
        "distance on images held out",
        "learning rate",
        "seconds",
    )
    with reproducible(torch.device("cpu")):
        for folder in arguments.runs:
            _repair(folder, arguments)


def _repair(folder: Path, arguments: Arguments) -> None:
    """One row for each seed."""
    run = Run(folder)
    subject = run.subject(calibration=arguments.pool)
    data = subject.data
    assert data is not None
    assert data.test is not None
    network = keep_safe_groups(trace(subject.model, data.validation.batch(slice(0, 1))))
    candidate = run.load()
    policy = read_policy(folder)
    kept = run.network.kept(network)
    blocks = block_outputs(network, kept) if arguments.blocks else None
    scorers = [
        ImageScorer(images, task=run.task, dtype=torch.float32)
        for images in (data.validation, data.test)
    ]
    before = [100 * scorer.score(candidate).accuracy for scorer in scorers]
    for seed in arguments.seeds:
        options = RepairOptions(shown=arguments.shown, seed=seed)
        found = repair(
            candidate,
            network.module,
            data.calibration,
            options,
            policy=policy,
            blocks=blocks,
            task=run.task,
        )
        after = [100 * scorer.score(found.model).accuracy for scorer in scorers]
        ratio = run.require_result().best.ratio.macs
        print_row(
            folder,
            seed,
            f"{ratio:.3f}",
            *(f"{first:.2f} → {last:.2f}" for first, last in zip(before, after, strict=True)),
            f"{found.before:.4f} → {found.after:.4f}",
            found.learning_rate,
            round(found.seconds),
        )


if __name__ == "__main__":
    main()
