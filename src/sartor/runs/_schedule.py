"""What is done in stages: budgets, searches, how each stage is fine-tuned, and what all of them learn from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from sartor.budget import Budget
from sartor.errors import RunError, UsageError
from sartor.finetune import FinetuneChanges, FinetuneOptions, Teacher
from sartor.machine import read_json, structure, write_text
from sartor.runs._config import RunConfig

SCHEMA = 1
_FILE = "schedule.json"


@dataclass(frozen=True)
class Schedule:
    """Budgets of the stages, each relative to the original, what every search is told, and how every stage is fine-tuned."""

    search: RunConfig
    stages: tuple[str, ...]
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    last: FinetuneChanges = field(default_factory=FinetuneChanges)
    """Where the last stage, which is the one delivered, is fine-tuned in another way than the others."""
    teacher: Teacher = field(default_factory=Teacher)
    """What all stages learn from, if not the original."""

    def __post_init__(self) -> None:
        self.last.apply(self.finetune)
        if not self.stages:
            raise UsageError(
                "a schedule needs the budgets of its stages; for instance: --stages 'macs<=75%' 'macs<=50%'"
            )
        for budget in self.stages:
            if Budget.parse(budget).bounds_latency and not self.search.options.target:
                raise UsageError(
                    f"the stage {budget!r} needs a target that latency is measured on; give --target onnxruntime"
                )
        if "quantize" in self.search.options.methods:
            raise UsageError(
                "a schedule prunes only; quantize its last stage: sartor search --methods quantize --base STAGE"
            )
        if self.search.options.base is not None:
            raise UsageError(
                f"--base is {self.search.options.base}; in a schedule the base of a stage is the stage before"
            )

    def save(self, folder: Path) -> None:
        """Write ``schedule.json``."""
        write_text(
            folder / _FILE,
            json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1, default=str)
            + "\n",
        )

    def finetune_of(self, number: int) -> FinetuneOptions:
        """How a stage, counted from 1, is fine-tuned."""
        return self.finetune if number < len(self.stages) else self.last.apply(self.finetune)

    @staticmethod
    def read(folder: Path) -> Schedule:
        """What `save` wrote. Raises `RunError` if the folder holds no schedule."""
        path = folder / _FILE
        content = read_json(
            path,
            missing=f"{path} does not exist; {folder} is not the folder of a schedule",
            error=RunError,
        )
        if content.pop("schema", None) != SCHEMA:
            raise RunError(f"{path} is not a schedule of schema {SCHEMA}")
        schedule: Schedule = structure(Schedule, content, str(path))
        return schedule
