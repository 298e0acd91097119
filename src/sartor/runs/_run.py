"""Searching and fine-tuning from names and files: what the command line runs."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sartor import data, models
from sartor.compression import (
    Origin,
    StoredNetwork,
    holds_network,
    load_network,
    read_policy,
    save_trained_network,
)
from sartor.errors import RunError
from sartor.finetune import CHECKPOINT, Epoch, FinetuneOptions, Teacher, finetune
from sartor.graph import trace
from sartor.machine import is_main, read_json, write_text
from sartor.pipeline import Report, Result, SearchOptions, compress
from sartor.runs._config import RunConfig, first_of, from_folder, require_threads, words
from sartor.scoring import ImageScorer
from sartor.search import Episode, read_episodes
from sartor.track import trackers

#: Where fine-tuning writes, in the folder of a run.
FINETUNED = "finetuned"
#: What came of a search, in its folder.
RESULT = "result.json"
#: What came of it, in that folder.
FINETUNE_REPORT = "finetune.json"
FINETUNE_SCHEMA = 1


def run_search(
    config: RunConfig, on_episode: Callable[[Episode, Episode], None], *, resume: bool = False
) -> Result:
    """Load, search and save; everything is in ``config.out`` when this returns.

    Raises `RunError` if the folder already holds episodes of a run and ``resume`` is not set, or while another process searches
    in it; then nothing in it is touched.
    """
    config.require_complete()
    assert config.out is not None
    known = len(read_episodes(config.out))
    if known and not resume:
        raise RunError(
            f"--out {config.out} already holds a run; resume it with --resume {config.out}, or choose another folder"
        )
    if not known and holds_network(config.out):
        raise RunError(
            f"--out {config.out} holds a network that was not searched there; choose another folder"
        )
    use_threads(config)
    count = calibration_count(config.options)
    model, images, origin = load_subject(
        config.model, config.weights, config.data, calibration=count, seed=config.options.seed
    )
    with trackers(config.track, config.out) as listening:

        def tell(episode: Episode, best: Episode) -> None:
            for tracker in (
                listening if episode.number >= known else ()
            ):  # replayed ones were told before
                tracker.on_episode(episode, best)
            on_episode(episode, best)

        return compress(
            model,
            images,
            budget=config.budget,
            options=config.options,
            out=config.out,
            origin=origin,
            on_start=functools.partial(config.save, config.out),
            on_episode=tell,
        )


def calibration_count(options: SearchOptions) -> int:
    """Calibration images that a search takes from its data."""
    return max(options.compress.images, options.compress.final_images)


def is_finished(folder: Path) -> bool:
    """Whether a search has left all it leaves, ``result.json`` last, and was not interrupted."""
    return (folder / RESULT).exists() and not read_result(folder)["interrupted"]


def is_current(folder: Path) -> bool:
    """Whether what was fine-tuned in the folder of a run is of the policy that the run now has."""
    return read_policy(folder / FINETUNED) == read_policy(folder)


def require_current(folder: Path) -> None:
    """Raise `RunError` if it is not."""
    if not is_current(folder):
        raise RunError(
            f"{folder / FINETUNED} was made from another policy than the run now has; remove it, or fine-tune again"
        )


def use_threads(config: RunConfig) -> None:
    """PyTorch computes with as many threads as a run asks for: sums of floats depend on it."""
    if config.threads:
        torch.set_num_threads(config.threads)


def load_subject(
    name: str,
    weights: Path | None,
    place: str,
    *,
    calibration: int,
    seed: int,
    origin: Origin | None = None,
) -> tuple[nn.Module, data.Data, Origin]:
    """The trained network and the data that the command line names; ``origin`` says what the network is, where it is known.

    Raises `UsageError` for a zoo network without weights, and what loading each of them raises.
    """
    mean, std = models.normalisation(weights)
    images = data.load(place, calibration=calibration, seed=seed, mean=mean, std=std)
    if origin is None:
        origin = Origin(name, images.class_count, images.validation.pixels.shape[-1])
    torch.manual_seed(seed)  # fresh weights, where no file is given
    missing = f"--weights is missing: {name} would be compressed with random weights"
    model = models.build_trained(
        origin.model, weights, classes=origin.classes, pixels=origin.pixels, missing=missing
    )
    channels = models.input_channels(model)
    if channels is not None:
        images = images.with_channels(channels)
    return model, images, origin


def reload_subject(
    config: RunConfig, place: Path, *, calibration: int
) -> tuple[nn.Module, data.Data]:
    """Network and data of a run that left a compressed network in ``place``."""
    seed, origin = config.options.seed, StoredNetwork.read(place).origin
    return load_subject(
        config.model, config.weights, config.data, calibration=calibration, seed=seed, origin=origin
    )[:2]


def read_result(folder: Path) -> Report:
    """What ``result.json`` of a finished run holds.

    Raises `RunError` if there is none, or it is of another version.
    """
    path = folder / RESULT
    if not path.is_file():
        again = f"sartor search --resume {folder}"
        raise RunError(f"{path} does not exist; the run is not finished. Resume it with: {again}")
    return Report.from_json(path.read_text(encoding="utf-8"), str(path))


def read_finetuned(folder: Path) -> dict[str, Any]:
    """What ``finetune.json`` of a fine-tuned run holds. Raises `RunError` if there is none, or it is of another version."""
    path = folder / FINETUNED / FINETUNE_REPORT
    return _read(
        path, FINETUNE_SCHEMA, f"{path} does not exist; make it with: sartor finetune {folder}"
    )


def _read(path: Path, schema: int, missing: str) -> dict[str, Any]:
    content = read_json(path, missing=missing, error=RunError)
    if content.get("schema") != schema:
        raise RunError(f"{path} is not a report of schema {schema}; another version wrote it")
    return content


def _finetune_words(options: FinetuneOptions, threads: int | None, teacher: Teacher) -> list[str]:
    """What of the command line of a fine-tuning is not the default."""
    return [
        *words(options),
        *words(teacher, "teacher."),
        *(["--threads", str(threads)] if threads else []),
    ]


def run_finetune(
    folder: Path,
    options: FinetuneOptions,
    on_epoch: Callable[[Epoch], None],
    *,
    resume: bool = False,
    threads: int | None = None,
    teacher: Teacher | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Fine-tune what a finished run found; everything is in ``folder/finetuned``, the report with it, when this returns.

    It is compared with the original, the network that the search started from, or the first of the searches that it is based on,
    and learns from it unless there is another ``teacher``; ``threads`` are the search's unless given.

    Raises `RunError` if there already is a fine-tuning and ``resume`` is not set.
    """
    require_threads(threads)
    config, out = from_folder(folder), folder / FINETUNED
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise RunError(
            f"{out} already holds a fine-tuning; go on with --resume, or remove the folder"
        )
    use_threads(dataclasses.replace(config, threads=threads or config.threads))
    config = dataclasses.replace(config, weights=first_of(config).weights)
    original, images = reload_subject(config, folder, calibration=data.ALL)
    train = images.calibration
    candidate, teacher = load_network(folder, original), teacher or Teacher()
    teaching = teacher.build(train, classes=StoredNetwork.read(folder).origin.classes) or original
    with trackers(config.track, folder) as listening:

        def tell(epoch: Epoch) -> None:
            for tracker in listening:
                tracker.on_epoch(epoch)
            on_epoch(epoch)

        tuned = finetune(
            candidate,
            train,
            images.validation,
            policy=read_policy(folder),
            teacher=teaching,
            options=options,
            checkpoint=checkpoint,
            on_epoch=tell,
        )
    score = ImageScorer(images.test, dtype=torch.float32).score if images.test is not None else None
    report = {
        "schema": FINETUNE_SCHEMA,
        "validation": {"before": tuned.before, "after": tuned.validation},
        "test": None
        if score is None
        else {
            "original": score(trace(original, train.slice(0, 1).normalized()).module).accuracy,
            "before": score(candidate).accuracy,
            "after": score(tuned.model).accuracy,
        },
        "seconds": round(sum(epoch.seconds for epoch in tuned.epochs), 3),
        "options": dataclasses.asdict(options),
        "command": shlex.join(
            ["sartor", "finetune", str(folder), *_finetune_words(options, threads, teacher)]
        ),
        "teacher": " and ".join(teacher.models) or config.model,
        "members": tuned.members,
        "epochs": [dataclasses.asdict(epoch) for epoch in tuned.epochs],
    }
    if is_main():
        save_trained_network(out, folder, tuned.model)
        write_text(out / FINETUNE_REPORT, json.dumps(report, indent=1) + "\n")
    return out, report
