"""What a search has learned by heart: its gain on the images of its reward, and on others.

    python bench/overfit.py runs/a runs/b

A rule's policy and the best one are built again, with the same ranking of channels, and refitted
from four sets of calibration images. Others are the validation images that gave no reward, or,
where all of them did, the test images. Gain is the best policy's against the rule's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from _common import print_header, print_row
from _searched import Searched
from sartor.machine import keep_freed_memory, reproducible
from sartor.runs import Run
from sartor.scoring import Score

#: Calibration images of the larger sets.
_MORE = 1024
keep_freed_memory()


@dataclass(frozen=True)
class Arguments:
    """Gains of searches on images that they have seen, and that they have not.

    Attributes:
        runs: Folders of searches.
        rule: Whose policy the best one is held against.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    rule: str = "knapsack"


def main() -> None:
    """Print a table for each run."""
    arguments = tyro.cli(Arguments)
    for folder in arguments.runs:
        run = Run(folder)
        print(f"\n{folder}: {len(run.episodes)} episodes, {run.config.budget}\n")
        with reproducible(torch.device("cpu")):
            _print(run, arguments.rule)


def _print(run: Run, rule: str) -> None:
    few = run.config.options.compress.images
    searched = Searched.of(run, calibration=2 * max(_MORE, few))
    ruled = next(episode for episode in run.episodes if episode.source == rule)
    whole = [episode for episode in run.episodes if not episode.outcome.stopped]
    best = max(whole, key=lambda episode: episode.reward)
    policies = [searched.policy(episode.executed) for episode in (ruled, best)]
    scorers = (
        searched.scorer(searched.data.validation, searched.reward_images),
        searched.scorer(searched.unseen()),
    )

    print_header(
        "refitted from",
        "KL, reward images",
        "KL, others",
        "accuracy, reward images",
        "accuracy, others",
    )
    for name, first, count in (
        (f"the search's {few}", 0, few),
        (f"another {few}", few, few),
        (f"{_MORE:,}", 0, _MORE),
        (f"another {_MORE:,}", _MORE, _MORE),
    ):
        compressor = searched.refitted_from(first, count)
        candidates = [compressor.candidate(policy) for policy in policies]
        pairs = [[scorer.score(candidate) for candidate in candidates] for scorer in scorers]
        print_row(name, *_divergences(pairs), *_accuracies(pairs))


def _divergences(pairs: list[list[Score]]) -> Iterator[str]:
    for before, after in pairs:
        assert before.divergence is not None
        assert after.divergence is not None
        change = after.divergence / before.divergence - 1
        yield f"{before.divergence:.4f} → {after.divergence:.4f} ({100 * change:+.0f} %)"


def _accuracies(pairs: list[list[Score]]) -> Iterator[str]:
    for before, after in pairs:
        yield f"{100 * before.accuracy:.2f} → {100 * after.accuracy:.2f}"


if __name__ == "__main__":
    main()
