"""Trackers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.machine import is_main
from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.track._base import Tracker

#: Makes a tracker for the folder of a run: a subclass of `Tracker`, for instance.
TrackerFactory = Callable[[Path], "Tracker"]

#: Every tracker by name; ``package.module:Class`` is a name too.
TRACKERS: Registry[TrackerFactory] = Registry(
    "tracker",
    {
        "tensorboard": "sartor.track._tensorboard:TensorBoardTracker",
        "mlflow": "sartor.track._mlflow:MlflowTracker",
    },
)


@contextmanager
def trackers(names: Sequence[str], folder: Path) -> Iterator[list[Tracker]]:
    """The trackers of those names for the run in ``folder``, closed at the end.

    Where several processes share a training, only the main one has any.

    Raises `UsageError` for a name that is not known or that no tracker belongs to, and
    `MissingPackageError` for a tracker whose package is not installed.
    """
    with ExitStack() as stack:
        entered: list[Tracker] = []
        if is_main():
            for name in names:
                tracker = _make(name, folder)
                entered.append(stack.enter_context(tracker))
        yield entered


def _make(name: str, folder: Path) -> Tracker:
    from sartor.track._base import Tracker

    factory = TRACKERS.get(name)
    if isinstance(factory, type) and not issubclass(factory, Tracker):
        raise UsageError(f"tracker {name!r} is {factory}; it must be a subclass of Tracker")
    return factory(folder)
