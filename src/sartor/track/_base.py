"""What every tracker is, and which numbers it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sartor.finetune import Epoch
from sartor.machine import is_main
from sartor.search import Episode

TrackerName = Literal["tensorboard", "mlflow"]
#: By name: ``search/reward``.
Numbers = Mapping[str, float]


class Tracker(ABC):
    """Keeps the numbers of a run; its methods are the callbacks ``on_episode`` and ``on_epoch`` of a search and a fine-tuning.

    A context manager: what it holds is on disk, or sent, when it closes.
    """

    @abstractmethod
    def log(self, numbers: Numbers, step: int) -> None:
        """Keep numbers of one step."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""

    def on_episode(self, episode: Episode, best: Episode) -> None:
        """An episode, and the best so far."""
        outcome = episode.outcome
        numbers = {
            "reward": episode.reward,
            "best_reward": best.reward,
            "accuracy": outcome.accuracy,
            "best_accuracy": best.outcome.accuracy,
            "divergence": outcome.divergence,
            "macs": outcome.cost.macs,
            "params": outcome.cost.params,
            "size": outcome.cost.size,
            "bops": outcome.cost.bops,
            "relative_latency": outcome.relative_latency,
            "seconds": episode.seconds,
        }
        self.log(
            {
                f"search/{name}": float(value)
                for name, value in numbers.items()
                if value is not None
            },
            episode.number,
        )

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch of fine-tuning."""
        numbers = {
            "loss": epoch.loss,
            "validation": epoch.validation,
            "best": epoch.best,
            "seconds": epoch.seconds,
        }
        self.log({f"finetune/{name}": value for name, value in numbers.items()}, epoch.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def trackers(names: Sequence[TrackerName], folder: Path) -> Iterator[list[Tracker]]:
    """Trackers by name, which keep what they are told in the folder of a run; closed at the end. The main process
    tells for all.

    Raises `MissingPackageError` for one whose package is not installed.
    """
    from sartor.track._mlflow import MlflowTracker
    from sartor.track._tensorboard import TensorBoardTracker

    kinds = {"tensorboard": TensorBoardTracker, "mlflow": MlflowTracker}
    with ExitStack() as stack:
        yield [stack.enter_context(kinds[name](folder)) for name in names if is_main()]
