"""The picture of the README: kept channels of every group, and accuracy over the episodes of a run.

python bench/picture.py --run runs/r56 --out docs/resnet56.svg
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import tyro
from matplotlib.axes import Axes

from sartor.runs import Run
from sartor.search import Episode

ORIGINAL = "#d0d5dd"
KEPT = "#0b6e99"
GIVEN_UP = "#b0b7c3"
BEST = "#c8501e"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "sartor",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Arguments:
    """Draw a run.

    Attributes:
        run: Folder of a finished run.
        out: The picture.
    """

    run: Path = Path("runs/r56")
    out: Path = Path("docs/resnet56.svg")


def main() -> None:
    """Write the picture."""
    arguments = tyro.cli(Arguments)
    run = Run(arguments.run)
    assert run.result is not None
    mpl.rcParams.update(STYLE)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.2), width_ratios=(3, 2), layout="constrained"
    )
    _draw_groups(left, arguments.run / "network.json")
    _draw_episodes(right, run.episodes)
    figure.suptitle(f"ResNet-56 on CIFAR-10, {run.result.budget}")
    figure.savefig(arguments.out, metadata={"Date": None})


def _draw_groups(axes: Axes, network: Path) -> None:
    """Channels of each group, original and kept."""
    groups = json.loads(network.read_text(encoding="utf-8"))["groups"].values()
    places = range(len(groups))
    sizes = [group["size"] for group in groups]
    kept = [len(group["kept"]) for group in groups]
    axes.bar(places, sizes, color=ORIGINAL, label="original")
    axes.bar(places, kept, color=KEPT, label="kept")
    axes.set_xlabel("group, in forward order")
    axes.set_ylabel("channels")
    axes.set_title("What the search kept")
    axes.legend(frameon=False)


def _draw_episodes(axes: Axes, episodes: Sequence[Episode]) -> None:
    """Accuracy of every episode, and the best so far."""
    scored = [episode for episode in episodes if not episode.outcome.stopped]
    given_up = [episode for episode in episodes if episode.outcome.stopped]
    axes.scatter(
        _numbers(given_up), _accuracies(given_up), s=6, color=GIVEN_UP, label="given up early"
    )
    axes.scatter(_numbers(scored), _accuracies(scored), s=6, color=KEPT, label="scored in full")

    best: list[float] = []
    for accuracy in _accuracies(scored):
        best.append(max([accuracy, *best[-1:]]))
    axes.step(_numbers(scored), best, where="post", color=BEST, label="best so far")
    axes.set_xlabel("episode")
    axes.set_ylabel("top-1 on the reward images, %")
    axes.set_ylim(min(best) - 6, max(best) + 0.7)
    axes.set_title("How it got there")
    axes.legend(frameon=False, loc="lower right")


def _numbers(episodes: Sequence[Episode]) -> list[int]:
    return [episode.number + 1 for episode in episodes]


def _accuracies(episodes: Sequence[Episode]) -> list[float]:
    return [100 * episode.outcome.accuracy for episode in episodes]


if __name__ == "__main__":
    main()
