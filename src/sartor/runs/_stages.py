"""Stage after stage of search, pruning and fine-tuning, each from what the one before left."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from sartor import models
from sartor.budget import Budget
from sartor.compression import keep_safe_groups, load_full_width, tensor_identity
from sartor.cost import CostModel
from sartor.errors import RunError
from sartor.finetune import Epoch
from sartor.graph import trace
from sartor.machine import Progress, read_json, require, silent, write_text
from sartor.pipeline import Ratio, make_target, multiple_of
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.runs._accuracies import TestAccuracy, ValidationAccuracy
from sartor.runs._config import RunConfig, command_line
from sartor.runs._layout import Layout, ScheduleLayout
from sartor.runs._run import Run
from sartor.runs._schedule import Schedule
from sartor.runs._subject import SubjectSource
from sartor.tasks import as_task, require_alike


@dataclass(frozen=True)
class Observer:
    """What is called while a schedule runs; stages count from 1.

    Attributes:
        on_stage: With the number and the budget of each stage that begins.
        progress: With every event of the searches.
        on_epoch: After every epoch of fine-tuning.
    """

    on_stage: Callable[[int, str], None] = lambda stage, budget: None
    progress: Progress = silent
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


@dataclass(frozen=True)
class StageReport:
    """What came of a stage.

    Attributes:
        stage: Its number, from 1.
        budget: What it was searched for.
        ratio: What is left, as fractions of the original's costs.
        budget_met: Whether the latency of what was found is under its bound for certain.
        validation: Accuracies before and after fine-tuning.
        test: The same on the test images; None where there are none.
        seconds: What fine-tuning took.
    """

    stage: int
    budget: str
    ratio: Ratio
    budget_met: bool
    validation: ValidationAccuracy
    test: TestAccuracy | None
    seconds: float


def run_schedule(
    schedule: Schedule, observer: Observer | None = None, *, resume: bool = False
) -> list[StageReport]:
    """Run all stages.

    Stage k is a run of its own in ``stage-k`` of the schedule's folder, its network in
    ``stage-k/finetuned``. What was done before is not done again, wherever it was interrupted;
    stages that have not begun may have other budgets then, and the last, until it is, be
    fine-tuned in another way.

    Raises `RunError` if the folder already holds a schedule and ``resume`` is not set, if it holds
    another one, or if a search was interrupted. What a later stage would fail by is raised before
    the first begins, as far as it is known then: `BudgetError` for bounds that are out of reach,
    but for those on latency, `UsageError` and `WeightsError` for a teacher that cannot teach.
    """
    observer = observer or Observer()
    schedule.search.require_complete()
    require("accelerate", extra="train")  # said now, not after the first search
    assert schedule.search.out is not None

    layout = ScheduleLayout(schedule.search.out)
    first = Run(layout.stage(1))
    if first.episodes:
        _require_resumable(schedule, layout, resume=resume)
    _require_possible(schedule)
    schedule.save(layout.folder)

    reports: list[StageReport] = []
    for number, budget in enumerate(schedule.stages, 1):
        observer.on_stage(number, budget)
        stage = _Stage(schedule, layout, number, budget)
        report = stage.run(observer)
        reports.append(report)

        # After every stage, so that the table is there if the next one is interrupted.
        content = [dataclasses.asdict(report) for report in reports]
        text = json.dumps(content, indent=1)
        write_text(layout.stages, text + "\n")

    return reports


def _require_resumable(schedule: Schedule, layout: ScheduleLayout, *, resume: bool) -> None:
    """What was begun goes on as it was begun."""
    out = layout.folder
    again = command_line("schedule", "--resume", out)
    if not resume:
        raise RunError(
            f"--out {out} already holds a schedule; resume it with: {again}, or choose another "
            "folder"
        )

    # The folder may have been moved, and what has not begun may be other than it was.
    stored = Schedule.read(out)
    search = dataclasses.replace(stored.search, out=out)
    begun = dataclasses.replace(stored, search=search)
    asked = dataclasses.replace(schedule, stages=stored.stages, last=stored.last)
    if begun != asked:
        raise RunError(f"{out} holds a schedule with other options; go on with: {again}")

    for number, (before, now) in enumerate(zip_longest(stored.stages, schedule.stages), 1):
        if before != now and Run(layout.stage(number)).episodes:
            raise RunError(
                f"stage {number} of {out} was begun with the budget {before}; it cannot become "
                f"{now}"
            )

    last = Layout(layout.stage(len(schedule.stages)))
    if schedule.last != stored.last and last.checkpoint.exists():
        raise RunError(
            f"the last stage is being fine-tuned, or was; for another way, remove {last.finetuned}"
        )


def _require_possible(schedule: Schedule) -> None:
    """What later stages would fail by, now: the last may begin days after the first.

    Reachable are all budgets that can be met however much the stages before remove; latency would
    have to be measured.
    """
    options = schedule.search.options
    count = options.compress.most_images
    subject, images = _source(schedule.search).load_both(count)
    image = images.calibration.batch(slice(0, 1))
    task = as_task(schedule.search.task)
    teacher = schedule.teacher.build(images.calibration, classes=subject.classes, task=task)
    if teacher is not None:
        require_alike(teacher, subject.model, image, task)

    network = keep_safe_groups(trace(subject.model, image))
    cost_model = CostModel(network)
    space = SearchSpace(
        granularity=options.granularity,
        min_keep=options.min_keep,
        multiple=multiple_of(options, make_target(options)),
    )
    # What one stage leaves at least is what the next one may begin with.
    least = Policy()
    for text in schedule.stages:
        budget = Budget.parse(text).without_latency()
        problem = Problem.of(cost_model, budget, space, base=least)
        least = problem.policy(problem.lowest)


def _source(config: RunConfig) -> SubjectSource:
    assert config.out is not None
    return SubjectSource(
        model=config.model,
        weights=config.weights,
        data=config.data,
        seed=config.options.seed,
        folder=config.out,
        pretrained=config.pretrained,
        inputs=config.inputs,
        images=Layout(config.out).images,
    )


@dataclass(frozen=True)
class _Stage:
    """One stage of a schedule, counted from 1."""

    schedule: Schedule
    layout: ScheduleLayout
    number: int
    budget: str

    def run(self, observer: Observer) -> StageReport:
        """Search, fine-tune, leave weights to the next stage; what is done is not done again."""
        folder = self.layout.stage(self.number)
        run = Run(folder, config=self._config())
        if self.number > 1:
            _require_same_start(run.layout, self._before.full_width)

        self._search(run, observer)
        if not run.layout.finetune_report.exists():
            run.finetune(
                self.schedule.finetune_of(self.number),
                teacher=self.schedule.teacher,
                resume=True,
                on_epoch=observer.on_epoch,
            )
        tuned = run.require_finetuned()
        self._widen(run)

        found = run.require_result()
        return StageReport(
            self.number,
            self.budget,
            found.best.ratio,
            found.budget_met,
            tuned.validation,
            tuned.test,
            tuned.seconds,
        )

    @property
    def _before(self) -> Layout:
        """Where the stage before lies."""
        return Layout(self.layout.stage(self.number - 1))

    def _config(self) -> RunConfig:
        search = self.schedule.search
        out = self.layout.stage(self.number)
        if self.number == 1:
            return dataclasses.replace(search, budget=self.budget, out=out)
        before = self._before
        options = dataclasses.replace(search.options, base=before.folder)
        return dataclasses.replace(
            search,
            weights=before.full_width,
            pretrained=False,
            budget=self.budget,
            out=out,
            options=options,
        )

    def _search(self, run: Run, observer: Observer) -> None:
        stopped = False
        if run.state == "finished":
            # The schedule may have been moved since, and with it what this stage is based on.
            run.config.save(run.folder)
        else:
            stopped = run.search(observer.progress, resume=True).stopped
        if stopped or run.state != "finished":
            again = command_line("schedule", "--resume", self.layout.folder)
            raise RunError(
                f"the search of stage {self.number} was interrupted; go on with: {again}"
            )

    def _widen(self, run: Run) -> None:
        """Write the trained weights in the shape of the original, if that is not done."""
        path = run.layout.full_width
        if _is_newer(path, run.layout.finetune_report):
            return

        search = self.schedule.search
        source = _source(search)
        subject = source.load(calibration=1, origin=run.network.origin)
        tensors = load_full_width(run.layout.finetuned, subject.model)

        # The file says how inputs are made: the next stage must see images as this one did.
        metadata = models.metadata_of(source.preprocessing)
        models.save_weights(path, tensors, metadata)


def _require_same_start(layout: Layout, weights: Path) -> None:
    """Keep which weights a stage begins with.

    Raises `RunError` if it began with others: the stage before was trained again.
    """
    tensors = models.read_weights(weights).tensors
    now = {"weights": tensor_identity(tensors)}
    path = layout.start
    if path.exists():
        before = read_json(path, missing="", error=RunError)
        if before != now:
            raise RunError(
                f"{layout.folder} was searched from other weights than {weights} now holds; "
                "remove it to search it anew"
            )
    write_text(path, json.dumps(now) + "\n")


def _is_newer(path: Path, than: Path) -> bool:
    """Whether a file is there and was written after another one."""
    if not path.exists():
        return False
    # In nanoseconds: both may be written within one second.
    written = path.stat().st_mtime_ns
    other = than.stat().st_mtime_ns
    return written > other
