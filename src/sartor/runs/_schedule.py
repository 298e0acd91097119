"""What is done in stages: budgets, searches, how each stage is trained, what all learn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sartor.budget import Budget
from sartor.errors import UsageError
from sartor.finetune import FinetuneChanges, FinetuneOptions, Teacher
from sartor.runs._config import RunConfig
from sartor.runs._layout import ScheduleLayout
from sartor.runs._records import read_record, write_record

SCHEMA = 1


@dataclass(frozen=True)
class Schedule:
    """What is done in stages.

    Attributes:
        search: How every stage is searched.
        stages: Their budgets, each relative to the original.
        finetune: How every stage is fine-tuned.
        last: Where the last stage, which is the one delivered, is fine-tuned in another way.
        teacher: What all stages learn from, if not the original.
    """

    search: RunConfig
    stages: tuple[str, ...]
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    last: FinetuneChanges = field(default_factory=FinetuneChanges)
    teacher: Teacher = field(default_factory=Teacher)

    def __post_init__(self) -> None:
        self.last.apply(self.finetune)
        if not self.stages:
            raise UsageError(
                "a schedule needs the budgets of its stages; for instance: "
                "--stages 'macs<=75%' 'macs<=50%'"
            )
        options = self.search.options
        for budget in self.stages:
            parsed = Budget.parse(budget)
            if parsed.goal is not None:
                raise UsageError(
                    f"the stage {budget!r} has a goal; stages of a schedule go by what networks "
                    "cost, since fine-tuning makes up for what they lose"
                )
            if parsed.bounds_latency and not options.target:
                raise UsageError(
                    f"the stage {budget!r} needs a target that latency is measured on; give "
                    "--target onnxruntime"
                )
        if "quantize" in options.methods:
            raise UsageError(
                "a schedule prunes only; quantize its last stage: sartor search --methods quantize "
                "--base STAGE"
            )
        if options.base is not None:
            raise UsageError(
                f"--base is {options.base}; in a schedule the base of a stage is the stage before"
            )

    def finetune_of(self, number: int) -> FinetuneOptions:
        """How a stage, counted from 1, is fine-tuned."""
        is_last = number == len(self.stages)
        return self.last.apply(self.finetune) if is_last else self.finetune

    def save(self, folder: Path) -> None:
        """Write ``schedule.json`` into a folder."""
        write_record(ScheduleLayout(folder).schedule, self, SCHEMA)

    @classmethod
    def read(cls, folder: Path) -> Schedule:
        """What `save` wrote. Raises `RunError` if the folder holds no schedule."""
        path = ScheduleLayout(folder).schedule
        missing = f"{path} does not exist; {folder} is not the folder of a schedule"
        return read_record(cls, path, SCHEMA, called="schedule", missing=missing)
