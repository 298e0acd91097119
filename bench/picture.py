"""The picture of the README: kept channels of every group, and accuracy over the episodes, of one finished run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import tyro

from sartor.runs import Run


@dataclass(frozen=True)
class Arguments:
    """Draw a run."""

    run: Path = Path("runs/r56")
    out: Path = Path("docs/resnet56.svg")


def main() -> None:
    """Write the picture."""
    arguments = tyro.cli(Arguments)
    report = json.loads((arguments.run / "result.json").read_text())
    layout = json.loads((arguments.run / "network.json").read_text())["groups"]
    episodes = Run(arguments.run).episodes
    mpl.rcParams.update(
        {
            "svg.hashsalt": "sartor",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.2), width_ratios=(3, 2), layout="constrained"
    )
    places = range(len(layout))
    left.bar(
        places, [entry["size"] for entry in layout.values()], color="#d0d5dd", label="original"
    )
    left.bar(
        places, [len(entry["kept"]) for entry in layout.values()], color="#0b6e99", label="kept"
    )
    left.set(xlabel="group, in forward order", ylabel="channels", title="What the search kept")
    left.legend(frameon=False)
    scored = [(e.number + 1, 100 * e.outcome.accuracy) for e in episodes if not e.outcome.stopped]
    given_up = [(e.number + 1, 100 * e.outcome.accuracy) for e in episodes if e.outcome.stopped]
    right.scatter(*zip(*given_up, strict=True), s=6, color="#b0b7c3", label="given up early")
    right.scatter(*zip(*scored, strict=True), s=6, color="#0b6e99", label="scored in full")
    best = [max(value for number, value in scored if number <= limit) for limit, _ in scored]
    right.step(
        [number for number, _ in scored], best, where="post", color="#c8501e", label="best so far"
    )
    right.set(
        xlabel="episode",
        ylabel="top-1 on the reward images, %",
        title="How it got there",
        ylim=(min(best) - 6, max(best) + 0.7),
    )
    right.legend(frameon=False, loc="lower right")
    figure.suptitle(f"ResNet-56 on CIFAR-10, {report['budget']}")
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
