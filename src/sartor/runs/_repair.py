"""Repair of what a run found, and its typed report: the content of ``repair.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx, nn

from sartor.compression import (
    StoredNetwork,
    block_outputs,
    on_device,
    save_trained_network,
)
from sartor.data import Data
from sartor.finetune import Epoch
from sartor.graph import trace
from sartor.machine import CPU, choose_device, write_text
from sartor.repair import Repaired, RepairOptions, repair
from sartor.runs._accuracies import TestAccuracy, ValidationAccuracy, on_test_images
from sartor.runs._config import command_line, flags
from sartor.runs._layout import Layout
from sartor.runs._stage_report import StageReport
from sartor.scoring import ImageScorer, with_own_labels
from sartor.tasks import Task


@dataclass(frozen=True)
class RepairReport(StageReport):
    """What ``repair.json`` holds, under the same names.

    Attributes:
        kept: Whether what was repaired is delivered, and not what was found: not where that is
            better on the validation images.
        validation: The metric on the validation images; afterwards that of what is delivered.
        test: The metric on the test images; None where there are none.
        before: How far what was found is from the original on images that were held out.
        after: The same of what was repaired.
        learning_rate: The largest.
        seconds: What all rounds took.
        options: How it was repaired.
        command: What repairs it again.
        rounds: All rounds; their ``validation`` is the distance, negated.
        metric: What the metric is called.
    """

    kept: bool
    validation: ValidationAccuracy
    test: TestAccuracy | None
    before: float
    after: float
    learning_rate: float
    seconds: float
    options: RepairOptions
    command: str
    rounds: tuple[Epoch, ...]
    metric: str = "top-1"


@dataclass(frozen=True, eq=False)
class Repairing:
    """One repair, in the folder of a run.

    Attributes:
        layout: Where everything lies.
        original: The network that it is compared with, and learns from.
        data: Its calibration images are learned from, without their labels.
        options: How to repair.
        task: What the network is for.
        device: Where it is trained.
        given: Flags of the command line that say what is not in the folder of the run.
    """

    layout: Layout
    original: nn.Module
    data: Data
    options: RepairOptions
    task: Task
    device: str = "auto"
    given: tuple[str, ...] = ()

    def run(self, on_round: Callable[[Epoch], None]) -> RepairReport:
        """Repair; the network and the report are on disk when this returns."""
        stored = StoredNetwork.read(self.layout.folder)
        candidate = stored.load(self.original)
        network = trace(self.original, self.data.calibration.batch(slice(0, 1)))
        where = choose_device(self.device)

        found = repair(
            on_device(candidate, where),
            on_device(network.module, where),
            self.data.calibration,
            self.options,
            policy=stored.policy,
            blocks=block_outputs(network, stored.kept(network)),
            task=self.task,
            checkpoint=self.layout.repair_checkpoint,
            on_round=on_round,
        )
        report, delivered = self._judged(found, candidate)
        save_trained_network(self.layout.repaired, self.layout.folder, delivered)
        write_text(self.layout.repair_report, report.to_json())
        return report

    @cached_property
    def _labelled(self) -> Data:
        return with_own_labels(self.data, self.original, self.task)

    def _validation(self, network: fx.GraphModule) -> float:
        scorer = ImageScorer(
            self._labelled.validation,
            task=self.task,
            dtype=torch.float32,
            device=choose_device(self.device),
        )
        return scorer.score(network).accuracy

    def _judged(
        self, found: Repaired, candidate: fx.GraphModule
    ) -> tuple[RepairReport, fx.GraphModule]:
        """The report, and the network that is delivered."""
        mended = on_device(found.model, CPU)
        before = self._validation(candidate)
        after = self._validation(mended)
        # Nearer to the original's answers is not always nearer to the labels.
        kept = after >= before
        delivered = mended if kept else candidate

        test = on_test_images(
            self._labelled,
            self.original,
            candidate,
            delivered,
            task=self.task,
            device=self.device,
        )
        seconds = sum(done.seconds for done in found.rounds)
        report = RepairReport(
            kept=kept,
            validation=ValidationAccuracy(before, max(before, after)),
            test=test,
            before=found.before,
            after=found.after,
            learning_rate=found.learning_rate,
            seconds=round(seconds, 3),
            options=self.options,
            command=command_line("repair", self.layout.folder, *flags(self.options), *self.given),
            rounds=found.rounds,
            metric=self.task.metric,
        )
        return report, delivered
