"""``sartor schedule``: compress in stages."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from sartor.cli._next import after_finetune
from sartor.cli._options import HOLDS_COMMAS
from sartor.finetune import FinetuneChanges, FinetuneOptions, Teacher
from sartor.runs import RunConfig, Schedule

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.finetune import Epoch
    from sartor.runs import Observer


@dataclass(frozen=True)
class RunSchedule:
    """Search, prune and fine-tune in stages, each from what the one before left.

    The budgets of the stages take the place of --budget.

    Attributes:
        stages: Budgets of the stages, relative to the original: 'params<=50%' 'params<=35%'
            'params<=25%' 'params<=20%'.
        search: What to compress, on which data.
        finetune: How every stage is fine-tuned.
        last: Where the last stage, which is the one delivered, is fine-tuned in another way than
            the others.
        teacher: Networks that all stages learn from in place of the original.
        resume: Go on with the schedule in this folder; all other options are taken from it, but
            --stages and --last.epochs and the like may change what has not begun.
    """

    stages: Annotated[tuple[str, ...], HOLDS_COMMAS] = ()
    search: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    last: FinetuneChanges = field(default_factory=FinetuneChanges)
    teacher: Teacher = field(default_factory=Teacher)
    resume: Path | None = None

    def run(self, console: Console) -> None:
        """Run all stages, one line per event, and print what every stage left."""
        from sartor.cli._tables import stages_table
        from sartor.runs import Layout, ScheduleLayout, run_schedule

        schedule = self._schedule()
        observer = _observer(console)
        reports = run_schedule(schedule, observer, resume=self.resume is not None)
        table = stages_table(reports)
        console.print(table)

        assert schedule.search.out is not None
        last = ScheduleLayout(schedule.search.out).stage(len(reports))
        console.print(f"the network is in {Layout(last).finetuned}")
        console.print(after_finetune(last))

    def _schedule(self) -> Schedule:
        """What the options say, on top of what the folder to resume holds."""
        from sartor.runs import Schedule

        if self.resume is None:
            return Schedule(
                search=self.search,
                stages=self.stages,
                finetune=self.finetune,
                last=self.last,
                teacher=self.teacher,
            )

        stored = Schedule.read(self.resume)
        # Where it lies is what it is resumed by: the folder may have been moved.
        search = dataclasses.replace(stored.search, out=self.resume)
        stages = self.stages or stored.stages
        changes = self.last.given()
        last = dataclasses.replace(stored.last, **changes)
        return dataclasses.replace(stored, search=search, stages=stages, last=last)


def _observer(console: Console) -> Observer:
    """Prints a line per stage and per epoch, and how far its search has come."""
    from sartor.cli._progress import epoch_words
    from sartor.runs import Lines, Observer

    def say(line: str) -> None:
        console.print(f"  {line}")

    def on_stage(number: int, budget: str) -> None:
        console.print(f"stage {number}: {budget}")

    def on_epoch(epoch: Epoch) -> None:
        say(f"epoch {epoch.number + 1}: {epoch_words(epoch)}")

    return Observer(on_stage=on_stage, progress=Lines(say), on_epoch=on_epoch)
