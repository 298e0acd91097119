"""``sartor pick``: another network of a search than the best, or what was fine-tuned, to go on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from sartor.errors import RunError, UsageError
from sartor.runs import pick, pick_finetuned
from sartor.search import cost_axis, cost_of, front, read_episodes


@dataclass(frozen=True)
class Pick:
    """List the episodes of a run that no other beats in accuracy and cost, or deliver one of them, or what was fine-tuned."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    episode: int | None = None
    """The one to deliver, of the list or not; written to RUN/episode-N."""
    finetuned: bool = False
    """Deliver what was fine-tuned, to be fine-tuned once more in another way; written to RUN/further."""

    def run(self, console: Console) -> None:
        """Print the list, or where the network is."""
        if self.finetuned and self.episode is not None:
            raise UsageError(
                f"--finetuned and --episode {self.episode} are two networks; choose one"
            )
        if self.finetuned or self.episode is not None:
            out = (
                pick_finetuned(self.folder)
                if self.episode is None
                else pick(self.folder, self.episode)
            )
            console.print(
                f"network in {out}; next: sartor finetune {out}, or sartor export {out}",
                highlight=False,
            )
            return
        if not self.folder.is_dir() or not (episodes := read_episodes(self.folder)):
            raise RunError(f"{self.folder} holds no episodes")
        axis = cost_axis(episodes)
        table = Table(
            title=f"not beaten in both accuracy and {'latency' if axis == 'relative_latency' else 'MACs'}"
        )
        for name in (
            "episode",
            "proposed by",
            "accuracy",
            "relative latency" if axis == "relative_latency" else "MACs",
        ):
            table.add_column(name, justify="left" if name == "proposed by" else "right")
        for episode in front(episodes):
            cost = cost_of(episode, axis) or 0.0
            written = f"{cost:.3f}" if axis == "relative_latency" else f"{cost / 1e6:.2f} M"
            table.add_row(
                str(episode.number),
                episode.source,
                f"{100 * episode.outcome.accuracy:.2f} %",
                written,
            )
        console.print(table)
        console.print(f"next: sartor pick {self.folder} --episode N", highlight=False)
