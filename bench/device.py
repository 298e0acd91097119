"""What an episode of a search costs on the CPU and on GPUs, and whether both find the same.

    python bench/device.py                                    # random weights, noise for images
    python bench/device.py --models resnet56 --weights shared/models/resnet56-cifar10.safetensors \
        --data shared/data/cifar10
    python bench/device.py --devices cpu cuda:0 cuda:1 --episodes 12

The agent proposes policies that depend on nothing but the seed, so that all devices score the same
ones. Seconds are medians of the episodes after the first, in which a GPU's kernels are loaded;
"prepared" is what comes before it: tracing, proving, calibrating, ranking.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from _common import print_header, print_row
from sartor import models
from sartor.compression import CompressOptions
from sartor.data import Data, Images, Preprocessing
from sartor.errors import SartorError
from sartor.machine import Event, choose_device, describe_device, require
from sartor.pipeline import SearchOptions
from sartor.runs import Result, compress
from sartor.search import Episode, EpisodeScored

#: Images that batch norms of random weights are set up by.
_STATISTICS = 64


@dataclass(frozen=True)
class Arguments:
    """Cost of an episode on several devices.

    Attributes:
        models: Names of networks.
        weights: Their trained weights, in the same order; random ones where there is none.
        data: For each network a folder of Parquet files with photos, or none for noise.
        devices: Where to search.
        episodes: Of each search.
        budget: Of each search.
        reward_images: Images that give the reward.
        calibration: Images that candidates are refitted from.
        threads: Of PyTorch; if not given, as many as it takes by itself.
    """

    models: tuple[str, ...] = ("resnet56", "efficientnet_lite0")
    weights: tuple[Path, ...] = ()
    data: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    episodes: int = 6
    budget: str = "macs<=50%"
    reward_images: int = 500
    calibration: int = 128
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and its images, in words too."""

    name: str
    model: nn.Module
    data: Data
    words: str


def main() -> None:
    """Print a row for each network and device."""
    arguments = tyro.cli(Arguments)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores; "
        f"{arguments.episodes} episodes at {arguments.budget}, {arguments.reward_images} reward "
        f"images, {arguments.calibration} calibration images\n"
    )
    print_header(
        "network",
        "device",
        "prepared s",
        "episode s",
        "build and refit s",
        "score s",
        "same policies",
        "largest difference of rewards",
        "whole search s",
        "GPU memory MB",
    )
    for number, model in enumerate(arguments.models):
        _compare(arguments, number, model)


def _compare(arguments: Arguments, number: int, model: str) -> None:
    """All rows of a network; an error is a row too."""
    try:
        subject = _subject(arguments, number, model)
    except (SartorError, OSError, RuntimeError) as error:
        print_row(model, "-", error)
        return

    first: Sequence[Episode] = ()
    for device in arguments.devices:
        try:
            result, seconds, prepared = _search(arguments, subject, device)
        except (SartorError, RuntimeError) as error:
            print_row(subject.words, device, str(error).splitlines()[0])
            continue
        first = first or result.episodes
        found = [f"{prepared:.2f}", *_numbers(result, first), f"{seconds:.1f}"]
        print_row(subject.words, describe_device(choose_device(device)), *found, _memory(device))


def _search(arguments: Arguments, subject: Subject, device: str) -> tuple[Result, float, float]:
    """What was found, what it took, and what it took before the first episode."""
    options = SearchOptions(
        agent="random",
        episodes=arguments.episodes,
        seed_with=("uniform",),
        reward="fidelity",
        device=device,
        reward_images=arguments.reward_images,
        finalists=1,
        baselines=(),
        # Random weights guess.
        anyway=True,
        timed=False,
        compress=CompressOptions(
            images=arguments.calibration,
            final_images=arguments.calibration,
        ),
    )
    where = choose_device(device)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)

    # When each episode began.
    began: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, EpisodeScored):
            began.append(time.perf_counter() - event.episode.seconds)

    started = time.perf_counter()
    result = compress(
        subject.model,
        subject.data,
        budget=arguments.budget,
        options=options,
        progress=note,
    )
    seconds = time.perf_counter() - started
    return result, seconds, began[0] - started


def _numbers(result: Result, first: Sequence[Episode]) -> list[str]:
    """Medians of the episodes, and how they differ from those of the first device."""
    # The first loads kernels.
    counted = result.episodes[1:] or result.episodes
    pairs = list(zip(first, result.episodes, strict=True))
    alike = [pair for pair in pairs if pair[0].executed == pair[1].executed]
    differences = [abs(one.reward - other.reward) for one, other in alike]
    return [
        f"{_median([episode.seconds for episode in counted]):.3f}",
        f"{_median([episode.outcome.seconds_build for episode in counted]):.3f}",
        f"{_median([episode.outcome.seconds_score for episode in counted]):.3f}",
        f"{len(alike)} of {len(pairs)}",
        f"{max(differences, default=0.0):.1e} of {abs(first[0].reward):.1e}",
    ]


def _memory(device: str) -> str:
    """Most memory that a GPU gave since it was last asked, in MB."""
    where = choose_device(device)
    if where.type != "cuda":
        return "-"
    return f"{torch.cuda.max_memory_allocated(where) / 2**20:.0f}"


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _subject(arguments: Arguments, number: int, name: str) -> Subject:
    """A network and its images: photos or noise, trained weights or random ones."""
    weights = arguments.weights[number] if number < len(arguments.weights) else None
    place = arguments.data[number] if number < len(arguments.data) else "none"

    model = models.build(name)
    pixels = models.default_pixels(name)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    if weights is not None:
        models.load_weights(model, weights)
        known = models.known_preprocessing(name, weights)
        mean, std = known.mean, known.std

    count = arguments.reward_images + arguments.calibration
    if place == "none":
        images = _noise(count, pixels, mean, std)
    else:
        images = _photos(Path(place), count, pixels, mean, std)
    calibration = images.slice(0, arguments.calibration)
    if weights is None:
        _set_statistics(model, calibration.slice(0, _STATISTICS).normalized())

    words = f"{name}, {pixels} px"
    words += ", random weights" if weights is None else ""
    words += ", noise" if place == "none" else ""
    return Subject(
        name, model.eval(), Data(calibration, images.slice(arguments.calibration)), words
    )


def _noise(count: int, pixels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Images:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, pixels, pixels)
    bytes_ = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Images(bytes_, torch.arange(count) % 10, mean, std)


def _photos(
    folder: Path, count: int, pixels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Images:
    """The first photos of a folder of Parquet files, the test split first."""
    pil = require("PIL.Image", extra="data")
    parquet = require("pyarrow.parquet", extra="data")
    # Small images are used as they are stored.
    small = pixels <= 64
    preparing = (
        Preprocessing()
        if small
        else Preprocessing(
            channels=3,
            resize=round(pixels / 0.875),
            interpolation="bicubic",
            crop=pixels,
        )
    )

    found: list[Tensor] = []
    labels: list[int] = []
    for path in sorted(folder.glob("*.parquet")):
        table = parquet.read_table(path)
        image, label = table.column_names[:2]
        for row in table.slice(0, count - len(found)).to_pylist():
            photo = pil.open(io.BytesIO(row[image]["bytes"]))
            array = preparing.apply(photo)
            found.append(torch.from_numpy(np.array(array)))
            labels.append(row[label])
    return Images(torch.stack(found), torch.tensor(labels), mean, std)


@torch.no_grad()
def _set_statistics(model: nn.Module, images: Tensor) -> None:
    """Let batch norms know what they read: else deep networks of random weights explode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    model(images)
    model.eval()


if __name__ == "__main__":
    main()
