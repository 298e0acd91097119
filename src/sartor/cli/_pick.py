"""``sartor pick``: another network of a run than the best one, to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_pick, choose_episode
from sartor.cli._original import Original
from sartor.errors import RunError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sartor.search import Episode


@dataclass(frozen=True)
class Pick:
    """List the episodes of a run that no other beats in accuracy and cost, or deliver one.

    Attributes:
        folder: Folder of the run.
        episode: The one to deliver, of the list or not; written to RUN/episode-N.
        finetuned: Deliver what was fine-tuned, to be fine-tuned once more in another way; written
            to RUN/further.
        original: What the run was made from, where its folder does not say it.
    """

    folder: tyro.conf.Positional[Path]
    episode: int | None = None
    finetuned: bool = False
    original: tyro.conf.OmitArgPrefixes[Original] = field(default_factory=Original)

    def run(self, console: Console) -> None:
        """Print the list, or where the network is."""
        if self.finetuned and self.episode is not None:
            raise UsageError(
                f"--finetuned and --episode {self.episode} are two networks; choose one"
            )
        if self.finetuned or self.episode is not None:
            out = self._deliver()
            console.print(f"network in {out}")
            console.print(after_pick(out))
            return

        from sartor.runs import Run

        run = Run(self.folder)
        episodes = run.episodes
        if not episodes:
            raise RunError(f"{self.folder} holds no episodes")
        console.print(_table(episodes, run.metric))
        console.print(choose_episode(self.folder))

    def _deliver(self) -> Path:
        run = self.original.run_in(self.folder)
        if self.episode is None:
            return run.pick_finetuned().folder
        return run.pick(self.episode).folder


def _table(episodes: Sequence[Episode], metric: str) -> Table:
    """The episodes that none beats in both the metric and cost."""
    from rich.table import Table

    from sartor.runs import percent
    from sartor.search import cost_axis, front

    timed = cost_axis(episodes) == "relative_latency"
    cost_name = "latency" if timed else "MACs"
    table = Table(title=f"not beaten in both {metric} and {cost_name}")
    table.add_column("episode", justify="right")
    table.add_column("proposed by")
    table.add_column(metric, justify="right")
    table.add_column("relative latency" if timed else "MACs", justify="right")
    for episode in front(episodes):
        outcome = episode.outcome
        cost = f"{outcome.cost.macs / 1e6:.2f} M"
        if timed:
            cost = f"{outcome.relative_latency:.3f}"
        number = str(episode.number)
        accuracy = percent(outcome.accuracy)
        table.add_row(number, episode.source, accuracy, cost)
    return table
