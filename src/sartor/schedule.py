"""Iterative compression (AMC, section 4): stages of search, pruning and fine-tuning, each from what the one before left."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sartor import models
from sartor._files import read_json, write_text
from sartor.budget import Budget
from sartor.config import RunConfig, build
from sartor.errors import RunError, UsageError
from sartor.finetune import Epoch, FinetuneOptions
from sartor.run import FINETUNE_REPORT, FINETUNED, load_subject, read_result, run_finetune, run_search
from sartor.search import Episode
from sartor.storage import holds_network, load_wide

SCHEMA = 1
_FILE = "schedule.json"
#: What a stage leaves to the next: weights in the shape of the original, what was pruned zero.
_WEIGHTS = "tuned.safetensors"


@dataclass(frozen=True)
class Schedule:
    """Budgets of the stages, each relative to the original, what every search is told, and how every stage is fine-tuned."""

    search: RunConfig
    stages: tuple[str, ...]
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError("a schedule needs the budgets of its stages; for instance: --stages 'macs<=75%' 'macs<=50%'")
        for budget in self.stages:
            Budget.parse(budget)
        if "quantize" in self.search.options.methods:
            raise UsageError("a schedule prunes only; quantize its last stage: sartor search --methods quantize --base STAGE")
        if self.search.options.base is not None:
            raise UsageError(f"--base is {self.search.options.base}; in a schedule the base of a stage is the stage before")

    def save(self, folder: Path) -> None:
        """Write ``schedule.json``."""
        write_text(folder / _FILE, json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1, default=str) + "\n")

    @staticmethod
    def read(folder: Path) -> Schedule:
        """What `save` wrote. Raises `RunError` if the folder holds no schedule."""
        path = folder / _FILE
        content = read_json(path, missing=f"{path} does not exist; {folder} is not the folder of a schedule", error=RunError)
        if content.pop("schema", None) != SCHEMA:
            raise RunError(f"{path} is not a schedule of schema {SCHEMA}")
        schedule: Schedule = build(Schedule, content, str(path))
        return schedule


@dataclass(frozen=True)
class Observer:
    """What is told while a schedule runs; stages count from 1."""

    on_stage: Callable[[int, str], None] = lambda stage, budget: None
    on_episode: Callable[[Episode, Episode], None] = lambda episode, best: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


def run_schedule(schedule: Schedule, observer: Observer | None = None, *, resume: bool = False) -> list[dict[str, Any]]:
    """Run all stages; stage k is a run of its own in ``out/stage-k``, its network in ``out/stage-k/finetuned``.

    Returns one entry per stage: budget, ratios of cost, accuracies. What was done before is not done again, wherever it was
    interrupted. Raises `RunError` if the folder already holds a schedule and ``resume`` is not set, or if a search was
    interrupted.
    """
    observer = observer or Observer()
    schedule.search.require_complete()
    out = schedule.search.out
    assert out is not None
    if (out / _FILE).exists() and not resume:
        raise RunError(f"--out {out} already holds a schedule; resume it with --resume {out}, or choose another folder")
    schedule.save(out)
    entries: list[dict[str, Any]] = []
    for number, budget in enumerate(schedule.stages, 1):
        observer.on_stage(number, budget)
        entries.append({"stage": number, "budget": budget, **_run_stage(schedule, number, budget, observer)})
        write_text(out / "stages.json", json.dumps(entries, indent=1) + "\n")
    return entries


def stage_folder(out: Path, number: int) -> Path:
    """Where a stage, counted from 1, is."""
    return out / f"stage-{number}"


def _run_stage(schedule: Schedule, number: int, budget: str, observer: Observer) -> dict[str, Any]:
    out = schedule.search.out
    assert out is not None
    folder, before = stage_folder(out, number), stage_folder(out, number - 1) if number > 1 else None
    config = dataclasses.replace(schedule.search, budget=budget, out=folder)
    if before is not None:
        options = dataclasses.replace(config.options, base=before)
        config = dataclasses.replace(config, weights=before / _WEIGHTS, options=options)
    if not holds_network(folder) or read_result(folder)["interrupted"]:
        run_search(config, observer.on_episode, resume=True)
    found = read_result(folder)
    if found["interrupted"]:
        raise RunError(f"the search of stage {number} was interrupted; go on with: sartor schedule --resume {out}")
    first = schedule.search
    original = load_subject(first.model, first.weights, first.data, calibration=1, seed=first.options.seed)[0]
    report = folder / FINETUNED / FINETUNE_REPORT
    if not report.exists():
        run_finetune(folder, schedule.finetune, observer.on_epoch, resume=True, original=original)
    mean, std = models.normalisation(first.weights)
    models.save_weights(folder / _WEIGHTS, load_wide(folder / FINETUNED, original), mean=mean, std=std)
    tuned = read_json(report, missing=f"{report} does not exist", error=RunError)
    keys = ("validation", "test", "seconds")
    return {"ratio": found["best"]["ratio"], "budget_met": found["budget_met"], **{key: tuned[key] for key in keys}}
