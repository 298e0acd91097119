"""Fine-tuning of what a run found, and its typed report: the content of ``finetune.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import fx, nn

from sartor.compression import load_network, read_policy, save_trained_network
from sartor.data import Data
from sartor.finetune import Epoch, Finetuned, FinetuneOptions, Teacher, finetune
from sartor.machine import is_main, write_text
from sartor.runs._accuracies import TestAccuracy, ValidationAccuracy, on_test_images
from sartor.runs._config import command_line, flags
from sartor.runs._layout import Layout
from sartor.runs._stage_report import StageReport
from sartor.scoring import with_own_labels
from sartor.tasks import Task


@dataclass(frozen=True)
class FinetuneReport(StageReport):
    """What ``finetune.json`` holds, under the same names.

    Attributes:
        validation: The metric on the validation images.
        test: The metric on the test images; None where there are none.
        seconds: What all epochs took.
        options: How it was trained.
        command: What trains it again.
        teacher: What it learned from.
        members: The epochs, from 1, whose mean it is; 0 is the network before.
        epochs: All epochs.
        metric: What the metric is called.
    """

    validation: ValidationAccuracy
    test: TestAccuracy | None
    seconds: float
    options: FinetuneOptions
    command: str
    teacher: str
    members: tuple[int, ...]
    epochs: tuple[Epoch, ...]
    metric: str = "top-1"


@dataclass(frozen=True, eq=False)
class Finetuning:
    """One fine-tuning, in the folder of a run.

    Attributes:
        layout: Where everything lies.
        begun: Folder of the network that is trained.
        original: The network that it is compared with, and learns from.
        data: Trained on its calibration images.
        options: How to train.
        teacher: Other networks to learn from.
        task: What the network is for.
        classes: Outputs that a teacher from the zoo is built with.
        name: What the original is called.
        device: Where it is trained.
        given: Flags of the command line that say what is not in the folder of the run.
    """

    layout: Layout
    begun: Path
    original: nn.Module
    data: Data
    options: FinetuneOptions
    teacher: Teacher
    task: Task
    classes: int
    name: str
    device: str = "auto"
    given: tuple[str, ...] = ()

    @cached_property
    def _labelled(self) -> Data:
        return with_own_labels(self.data, self.original, self.task)

    def run(self, on_epoch: Callable[[Epoch], None]) -> FinetuneReport:
        """Train; the network and the report are on disk when this returns."""
        train = self._labelled.calibration
        candidate = load_network(self.begun, self.original)
        policy = read_policy(self.begun)
        teacher = self.teacher.build(train, classes=self.classes, task=self.task) or self.original

        tuned = finetune(
            candidate,
            train,
            self._labelled.validation,
            policy=policy,
            teacher=teacher,
            options=self.options,
            task=self.task,
            device=self.device,
            checkpoint=self.layout.checkpoint,
            on_epoch=on_epoch,
        )
        report = self._report(tuned, candidate)
        # Where several processes share the work, all hold the same network: one writes it.
        if is_main():
            save_trained_network(self.layout.finetuned, self.begun, tuned.model)
            write_text(self.layout.finetune_report, report.to_json())
        return report

    def _report(self, tuned: Finetuned, candidate: fx.GraphModule) -> FinetuneReport:
        test = on_test_images(
            self._labelled,
            self.original,
            candidate,
            tuned.model,
            task=self.task,
            device=self.device,
        )
        seconds = sum(epoch.seconds for epoch in tuned.epochs)
        teacher = " and ".join(self.teacher.models)
        return FinetuneReport(
            validation=ValidationAccuracy(tuned.before, tuned.validation),
            test=test,
            seconds=round(seconds, 3),
            options=self.options,
            command=self._command(),
            teacher=teacher or self.name,
            members=tuned.members,
            epochs=tuple(tuned.epochs),
            metric=self.task.metric,
        )

    def _command(self) -> str:
        return command_line(
            "finetune",
            self.layout.folder,
            *flags(self.options),
            *flags(self.teacher, "teacher."),
            *self.given,
        )
