"""What a search costs, beside fp32 eager passes of the original over the reward's images.

    python bench/episode.py --model resnet56 --budget 'macs<=50%' --episodes 60
    python bench/episode.py --before ANOTHER_CHECKOUT
    python bench/episode.py --model efficientnet_lite0 --data ../shared/data/imagenet1000 \
        --weights ../shared/models/efficientnet_lite0-imagenet.safetensors --resize 256 --crop 224

Each search is a process of its own, followed by the pass; both are in seconds of CPU, since the
machine may be shared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from _common import SHARED, data_in, peak_bytes, print_header, print_row, weights_of
from sartor.data import Images, Preprocessing
from sartor.machine import Event
from sartor.pipeline import SearchOptions
from sartor.runs import compress
from sartor.search import EpisodeScored

_HERE = Path(__file__).resolve().parents[1]
#: Length of the search that what happens once is shared out over.
SEARCH = 400
#: Numbers of the images of one batch of the pass: 500 of CIFAR-10.
_BATCH = 500 * 3 * 32 * 32


@dataclass(frozen=True)
class Episode:
    """Cost of an episode and of a whole search.

    Attributes:
        shared: Folder of networks and data.
        model: Name of the network.
        weights: Its weights; if not given, those for CIFAR-10 in the folder.
        data: Its data; if not given, CIFAR-10 in the folder.
        resize: Shorter side of its images in pixels, bicubic; as stored if not given.
        crop: Side of the square cut from them.
        budget: Of the search.
        episodes: Of the search.
        finalists: Of the search.
        threads: Of PyTorch: with one, seconds of CPU are those of a quiet machine.
        before: Another checkout, measured before this one.
        alone: Measure this checkout only, and print JSON.
    """

    shared: Path = SHARED
    model: str = "resnet56"
    weights: Path | None = None
    data: Path | None = None
    resize: int | None = None
    crop: int | None = None
    budget: str = "macs<=50%"
    episodes: int = 60
    finalists: int = SearchOptions.finalists
    threads: int = 1
    before: Path | None = None
    alone: bool = False

    def run(self) -> None:
        """Measure and print a table."""
        if self.alone:
            print(json.dumps(self._measure()))
            return
        trees = {"now": _HERE}
        if self.before is not None:
            trees = {"before": self.before.resolve(), **trees}
        found = [_measured_in(tree) for tree in trees.values()]

        threads = f"{self.threads} threads" if self.threads > 1 else "1 thread"
        title = f"{self.model}, {self.budget}, {self.episodes} episodes, {threads}"
        print_header(title, *trees)
        for name in found[0]:
            print_row(name, *(measured[name] for measured in found))

    def _measure(self) -> dict[str, str]:
        """Search, then run the original: what is said of both, by name."""
        torch.set_num_threads(self.threads)
        clock = _Clock()
        options = SearchOptions(episodes=self.episodes, finalists=self.finalists, repair="fit")
        result = compress(
            self.model,
            str(self.data or data_in(self.shared)),
            weights=self.weights or weights_of(self.model, self.shared),
            budget=self.budget,
            options=options,
            preprocessing=self._preprocessing(),
            progress=clock,
        )
        whole = time.process_time()
        peak = peak_bytes()

        images = max(episode.outcome.images for episode in result.episodes)
        assert result.subject.data is not None
        shown = result.subject.data.validation.slice(0, images)
        forward = min(_forward_seconds(result.subject.model.eval(), shown) for _ in range(2))

        episode = clock.searched / self.episodes
        once = whole - clock.searched
        everything = episode + once / SEARCH
        best = result.report.best
        seen = sum(episode.outcome.images for episode in result.episodes) / self.episodes
        return {
            f"fp32 pass over {images:,} images": f"{forward:.2f} s",
            "an episode": _beside(episode, forward),
            **self._parts(result.report.seconds_per_episode, episode, forward),
            "images an episode looks at": f"{seen:,.0f}",
            "once a search": f"{once:.1f} s",
            f"everything, over {SEARCH} episodes": _beside(everything, forward),
            "until the first policy": f"{clock.first:.1f} s",
            "peak memory": f"{peak / 1e6:,.0f} MB",
            "found, validation": f"{100 * best.validation:.2f}",
            "found, test": "–" if best.test is None else f"{100 * best.test:.2f}",
        }

    def _preprocessing(self) -> Preprocessing | None:
        if self.resize is None or self.crop is None:
            return None
        return Preprocessing(resize=self.resize, crop=self.crop, interpolation="bicubic")

    def _parts(self, seconds: Any, episode: float, forward: float) -> dict[str, str]:
        """Where an episode goes: its seconds of CPU, shared out as its seconds were."""
        parts = {}
        for name in ("refit", "evaluate", "agent"):
            share = seconds[name] / seconds["total"]
            parts[f"… {name}"] = _beside(share * episode, forward)
        return parts


@dataclass
class _Clock:
    """Seconds of CPU, as events come.

    Attributes:
        first: Until the first policy was scored.
        searched: From the first episode to the last.
    """

    first: float = 0.0
    searched: float = 0.0
    _last: float = field(default_factory=time.process_time)

    def __call__(self, event: Event, /) -> None:
        now = time.process_time()
        if isinstance(event, EpisodeScored):
            if self.first:
                self.searched += now - self._last
            else:
                self.first = now
                self.searched = event.episode.seconds
        self._last = now


@torch.no_grad()
def _forward_seconds(model: nn.Module, images: Images) -> float:
    """Of a pass over images, which are made ready before."""
    batch = max(1, _BATCH // images.batch(slice(0, 1)).numel())
    pixels = images.normalized()
    started = time.process_time()
    for some in pixels.split(batch):
        model(some)
    return time.process_time() - started


def _measured_in(tree: Path) -> dict[str, str]:
    """The same command, with the source of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, __file__, *sys.argv[1:], "--alone"]
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, str] = json.loads(found.stdout.splitlines()[-1])
    return measured


def _beside(seconds: float, forward: float) -> str:
    return f"{seconds:.3f} s = {seconds / forward:.3f}"


if __name__ == "__main__":
    tyro.cli(Episode).run()
