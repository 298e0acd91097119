"""What every tracker is, and which numbers it keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sartor.finetune import Epoch
    from sartor.machine import Event
    from sartor.search import Episode

#: Values by name: ``search/reward``.
Numbers = Mapping[str, float]


class Tracker(ABC):
    """Keeps the numbers of a run; made with the folder of that run.

    It takes the events of a search itself, ``progress=tracker``; `on_epoch` is the callback of a
    fine-tuning. A context manager: when it closes, everything is on disk or sent.

    Args:
        folder: That of the run. A tracker that writes files writes them there.

    >>> class Printer(Tracker):
    ...     def log(self, numbers, step):
    ...         print(step, dict(numbers))
    ...     def close(self):
    ...         print("closed")
    >>> with Printer(Path("runs/a")) as tracker:
    ...     tracker.log({"search/reward": 0.5}, 0)
    0 {'search/reward': 0.5}
    closed
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def log(self, numbers: Numbers, step: int) -> None:
        """Keep the numbers of one step, an episode or an epoch, counted from 0."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""

    def __call__(self, event: Event, /) -> None:
        """Keep an episode that is new; all other events are left alone."""
        from sartor.search import EpisodeScored

        # Those that are recorded were kept when they were new.
        if isinstance(event, EpisodeScored) and not event.is_recorded:
            self.on_episode(event.episode, event.best)

    def on_episode(self, episode: Episode, best: Episode | None = None) -> None:
        """Keep an episode, and the best so far; what was not measured is left out."""
        outcome = episode.outcome
        best_reward = None
        best_accuracy = None
        if best is not None:
            best_reward = best.reward
            best_accuracy = best.outcome.accuracy

        numbers = {
            "reward": episode.reward,
            "best_reward": best_reward,
            "accuracy": outcome.accuracy,
            "best_accuracy": best_accuracy,
            "divergence": outcome.divergence,
            "macs": outcome.cost.macs,
            "params": outcome.cost.params,
            "size": outcome.cost.size,
            "bops": outcome.cost.bops,
            "relative_latency": outcome.relative_latency,
            "seconds": episode.seconds,
        }
        measured = {
            f"search/{name}": float(value) for name, value in numbers.items() if value is not None
        }
        self.log(measured, episode.number)

    def on_epoch(self, epoch: Epoch) -> None:
        """Keep an epoch of fine-tuning."""
        numbers = {
            "finetune/loss": epoch.loss,
            "finetune/validation": epoch.validation,
            "finetune/best": epoch.best,
            "finetune/seconds": epoch.seconds,
        }
        self.log(numbers, epoch.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
