"""Stage after stage of search, pruning and fine-tuning, each from what the one before left."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from sartor import models
from sartor.budget import Budget
from sartor.compression import keep_safe_groups, load_full_width, tensor_identity
from sartor.cost import CostModel
from sartor.errors import RunError
from sartor.finetune import CHECKPOINT, Epoch, require_alike
from sartor.graph import trace
from sartor.machine import read_json, require, write_text
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.runs._run import (
    FINETUNE_REPORT,
    FINETUNED,
    calibration_count,
    is_finished,
    load_subject,
    read_finetuned,
    read_result,
    reload_subject,
    require_current,
    run_finetune,
    run_search,
)
from sartor.runs._schedule import Schedule
from sartor.search import Episode, read_episodes

#: What a stage leaves to the next: weights in the shape of the original, what was pruned zero.
_WEIGHTS = "tuned.safetensors"
#: Which such weights a stage was searched from.
_START = "start.json"


@dataclass(frozen=True)
class Observer:
    """What is told while a schedule runs; stages count from 1."""

    on_stage: Callable[[int, str], None] = lambda stage, budget: None
    on_episode: Callable[[Episode, Episode], None] = lambda episode, best: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


def run_schedule(
    schedule: Schedule, observer: Observer | None = None, *, resume: bool = False
) -> list[dict[str, Any]]:
    """Run all stages; stage k is a run of its own in ``out/stage-k``, its network in ``out/stage-k/finetuned``.

    Returns one entry per stage: budget, ratios of cost, accuracies. What was done before is not done again, wherever it was
    interrupted; stages that have not begun may have other budgets then, and the last, until it is, be fine-tuned in another way.
    Raises `RunError` if the folder already holds a schedule and ``resume`` is not set, if it holds another one, or if a search
    was interrupted. What a later stage would fail by is raised before the first begins, as far as it is known then: `BudgetError`
    for bounds that are out of reach, but for those on latency, `UsageError` and `WeightsError` for a teacher that cannot teach.
    """
    observer = observer or Observer()
    schedule.search.require_complete()
    out = schedule.search.out
    assert out is not None
    require("accelerate", extra="train")  # said now, not after the first search
    if read_episodes(stage_folder(out, 1)):
        if not resume:
            raise RunError(
                f"--out {out} already holds a schedule; resume it with --resume {out}, or choose another folder"
            )
        _require_same(Schedule.read(out), schedule, out)
    _require_possible(schedule)
    schedule.save(out)
    entries: list[dict[str, Any]] = []
    for number, budget in enumerate(schedule.stages, 1):
        observer.on_stage(number, budget)
        entries.append(
            {"stage": number, "budget": budget, **_run_stage(schedule, number, budget, observer)}
        )
        write_text(out / "stages.json", json.dumps(entries, indent=1) + "\n")
    return entries


def stage_folder(out: Path, number: int) -> Path:
    """Where a stage, counted from 1, is."""
    return out / f"stage-{number}"


def _require_same(stored: Schedule, given: Schedule, out: Path) -> None:
    """What was begun goes on as it was begun."""
    same = dataclasses.replace(given, stages=stored.stages, last=stored.last)
    if dataclasses.replace(stored, search=dataclasses.replace(stored.search, out=out)) != same:
        raise RunError(
            f"{out} holds a schedule with other options; go on with: sartor schedule --resume {out}"
        )
    for number, (before, now) in enumerate(zip_longest(stored.stages, given.stages), 1):
        if before != now and read_episodes(stage_folder(out, number)):
            raise RunError(
                f"stage {number} of {out} was begun with the budget {before}; it cannot become {now}"
            )
    last = stage_folder(out, len(given.stages))
    if given.last != stored.last and (last / FINETUNED / CHECKPOINT).exists():
        raise RunError(
            f"the last stage is being fine-tuned, or was; for another way, remove {last / FINETUNED}"
        )


def _require_possible(schedule: Schedule) -> None:
    """What later stages would fail by, now: the last may begin days after the first.

    Reachable are all budgets that can be met however much the stages before remove; latency would have to be measured.
    """
    search, options, count = (
        schedule.search,
        schedule.search.options,
        calibration_count(schedule.search.options),
    )
    model, images, origin = load_subject(
        search.model, search.weights, search.data, calibration=count, seed=options.seed
    )
    image = images.calibration.slice(0, 1).normalized()
    teacher = schedule.teacher.build(images.calibration, classes=origin.classes)
    if teacher is not None:
        require_alike(teacher, model, image)
    cost_model, least = CostModel(keep_safe_groups(trace(model, image))), Policy()
    for budget in map(Budget.parse, schedule.stages):
        space = SearchSpace(
            granularity=options.granularity,
            min_keep=options.min_keep,
            multiple=options.multiple,
        )
        problem = Problem.of(cost_model, budget.without_latency(), space, base=least)
        least = problem.policy(problem.lowest)


def _run_stage(schedule: Schedule, number: int, budget: str, observer: Observer) -> dict[str, Any]:
    out = schedule.search.out
    assert out is not None
    folder, before = (
        stage_folder(out, number),
        stage_folder(out, number - 1) if number > 1 else None,
    )
    config = dataclasses.replace(schedule.search, budget=budget, out=folder)
    if before is not None:
        options = dataclasses.replace(config.options, base=before)
        config = dataclasses.replace(config, weights=before / _WEIGHTS, options=options)
        _require_same_start(folder, before / _WEIGHTS)
    stopped = False
    if is_finished(folder):
        config.save(
            folder
        )  # the schedule may have been moved since, and with it what this stage is based on
    else:
        stopped = run_search(config, observer.on_episode, resume=True).stopped
    if stopped or not is_finished(folder):
        raise RunError(
            f"the search of stage {number} was interrupted; go on with: sartor schedule --resume {out}"
        )
    found, report = read_result(folder), folder / FINETUNED / FINETUNE_REPORT
    if not report.exists():
        tuning = schedule.finetune_of(number)
        run_finetune(folder, tuning, observer.on_epoch, resume=True, teacher=schedule.teacher)
    require_current(folder)
    if not _is_newer(folder / _WEIGHTS, report):
        original = reload_subject(schedule.search, folder, calibration=1)[0]
        mean, std = models.normalisation(schedule.search.weights)
        models.save_weights(
            folder / _WEIGHTS, load_full_width(report.parent, original), mean=mean, std=std
        )
    tuned = read_finetuned(folder)
    keys = ("validation", "test", "seconds")
    return {
        "ratio": found["best"]["ratio"],
        "budget_met": found["budget_met"],
        **{key: tuned[key] for key in keys},
    }


def _require_same_start(folder: Path, weights: Path) -> None:
    """Keep which weights a stage begins with; raise `RunError` if it began with others: the stage before was trained again."""
    path, now = folder / _START, {"weights": tensor_identity(load_file(weights))}
    if path.exists() and read_json(path, missing="", error=RunError) != now:
        raise RunError(
            f"{folder} was searched from other weights than {weights} now holds; remove it to search it anew"
        )
    write_text(path, json.dumps(now) + "\n")


def _is_newer(path: Path, than: Path) -> bool:
    """Whether a file is there and was written after another one."""
    return path.exists() and path.stat().st_mtime_ns > than.stat().st_mtime_ns
