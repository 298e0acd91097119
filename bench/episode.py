"""What an episode costs, beside one fp32 eager pass of the original over the validation images.

    python bench/episode.py --model resnet56 --budget 'macs<=50%' --episodes 60

Both are timed in this process, with the same threads, in turns: the machine may be shared.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from _common import SHARED, subject
from sartor.pipeline import SearchOptions
from sartor.runs import compress

#: Length of the search that what happens once is shared out over.
SEARCH = 400
BATCH = 500


@dataclass(frozen=True)
class Arguments:
    """Cost of an episode.

    Attributes:
        shared: Folder of networks and data.
        model: Name of the network.
        budget: Of the search.
        episodes: Of the search.
        threads: Of PyTorch; if not given, as many as it takes by itself.
    """

    shared: Path = SHARED
    model: str = "resnet56"
    budget: str = "macs<=50%"
    episodes: int = 60
    threads: int | None = None


def main() -> None:
    """Print seconds per episode, where they go, and the ratio."""
    arguments = tyro.cli(Arguments)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, images = subject(arguments.model, calibration=2048, shared=arguments.shared)
    pixels = images.validation.normalized()
    before = _forward_seconds(model.eval(), pixels)

    started = time.perf_counter()
    options = SearchOptions(episodes=arguments.episodes, baselines=())
    report = compress(model, images, budget=arguments.budget, options=options).report
    whole = time.perf_counter() - started
    forward = min(before, _forward_seconds(model, pixels))

    threads = torch.get_num_threads()
    print(
        f"{arguments.model}, {arguments.budget}, {threads} threads, {arguments.episodes} episodes"
    )
    print(f"one fp32 eager forward pass over {len(pixels)} images: {forward:.2f} s", end=" ")
    print("(the faster of two, before and after)")
    for name, seconds in report["seconds_per_episode"].items():
        print(f"  {name:10s} {seconds:.3f} s = {seconds / forward:.3f} of it")

    mean = report.seconds_per_episode.total
    once = whole - mean * arguments.episodes
    everything = mean + once / SEARCH
    print(f"once per search: {once:.1f} s", end=" ")
    print("(tracing, ranking, finalists refitted and scored in fp32, test)")
    print(f"everything, over a search of {SEARCH} episodes: {everything:.3f} s an episode", end=" ")
    print(f"= {everything / forward:.3f} of it")


@torch.no_grad()
def _forward_seconds(model: nn.Module, pixels: Tensor) -> float:
    started = time.perf_counter()
    for batch in pixels.split(BATCH):
        model(batch)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
