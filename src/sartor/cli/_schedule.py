"""``sartor schedule``: compress in stages."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from sartor.cli._progress import epoch_words
from sartor.finetune import FinetuneChanges, FinetuneOptions, Teacher
from sartor.runs import FINETUNED, Observer, RunConfig, Schedule, run_schedule, stage_folder
from sartor.search import Episode


@dataclass(frozen=True)
class RunSchedule:
    """Search, prune and fine-tune in stages, each from what the one before left; takes the place of --budget."""

    stages: tuple[str, ...] = ()
    """Budgets of the stages, relative to the original: 'params<=50%' 'params<=35%' 'params<=25%' 'params<=20%'."""
    search: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    last: FinetuneChanges = field(default_factory=FinetuneChanges)
    """Where the last stage, which is the one delivered, is fine-tuned in another way than the others."""
    teacher: Teacher = field(default_factory=Teacher)
    resume: Path | None = None
    """Go on with the schedule in this folder; all other options are taken from it, but --stages and --last.epochs and the
    like may change what has not begun."""

    def run(self, console: Console) -> None:
        """Run it, one line per event, and show what every stage left."""
        say = partial(console.print, highlight=False)
        if self.resume is None:
            schedule = Schedule(self.search, self.stages, self.finetune, self.last, self.teacher)
        else:
            stored = Schedule.read(self.resume)
            search = dataclasses.replace(stored.search, out=self.resume)
            stages = self.stages or stored.stages
            changes = dataclasses.replace(stored.last, **self.last.given())
            schedule = dataclasses.replace(stored, search=search, stages=stages, last=changes)
        tenth = max(1, schedule.search.options.episodes // 10)

        def on_episode(episode: Episode, best: Episode) -> None:
            if (episode.number + 1) % tenth == 0:
                say(
                    f"  episode {episode.number + 1}: best {100 * best.outcome.accuracy:.2f} % of the reward images"
                )

        observer = Observer(
            on_stage=lambda number, budget: say(f"stage {number}: {budget}"),
            on_episode=on_episode,
            on_epoch=lambda epoch: say(f"  epoch {epoch.number + 1}: {epoch_words(epoch)}"),
        )
        entries = run_schedule(schedule, observer, resume=self.resume is not None)
        console.print(stages_table(entries))
        last = stage_folder(schedule.search.out or Path(), len(entries))
        say(f"the network is in {last / FINETUNED}; next: sartor export {last}")


def stages_table(entries: list[dict[str, Any]]) -> Table:
    """One row per stage."""
    table = Table(title="stages")
    for name in (
        "budget",
        "MACs",
        "parameters",
        "validation before",
        "after",
        "test before",
        "after",
    ):
        table.add_column(
            name, justify="left" if name == "budget" else "right", no_wrap=name == "budget"
        )
    for entry in entries:
        ratios = [f"{100 * entry['ratio'][key]:.1f} %" for key in ("macs", "params")]
        accuracies = [
            "–" if entry[part] is None else f"{100 * entry[part][moment]:.2f} %"
            for part in ("validation", "test")
            for moment in ("before", "after")
        ]
        table.add_row(entry["budget"], *ratios, *accuracies)
    return table
