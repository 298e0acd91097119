"""MLflow: where ``MLFLOW_TRACKING_URI`` says, else a database in the folder of the run."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from sartor.errors import RunError
from sartor.machine import require, write_text
from sartor.track._base import Numbers, Tracker

_PLACE = "MLFLOW_TRACKING_URI"
_NO_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"
_DATABASE = "mlflow.db"
_RUN = "mlflow.run"
_EXPERIMENT = "sartor"


class MlflowTracker(Tracker):
    """Logs to a run of MLflow, the same one when a search is resumed or its network fine-tuned.

    Nothing is sent but to the address the user gave: if this is the first to import MLflow, its
    telemetry stays off unless ``MLFLOW_DISABLE_TELEMETRY`` says otherwise.

    Raises `MissingPackageError` without mlflow, `RunError` if nothing can be logged at that
    address.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        mlflow = _import_mlflow()
        folder.mkdir(parents=True, exist_ok=True)
        database = (folder / _DATABASE).resolve()
        place = os.environ.get(_PLACE) or f"sqlite:///{database}"

        self._entities = mlflow.entities
        self._failure: type[Exception] = mlflow.exceptions.MlflowException
        self._gone = False
        try:
            self._client = mlflow.MlflowClient(tracking_uri=place)
            self._run = self._known_run() or self._new_run()
        except self._failure as error:
            raise RunError(f"MLflow at {place} cannot be used: {error}; see {_PLACE}") from error

    def log(self, numbers: Numbers, step: int) -> None:
        """Send all numbers of a step in one message."""
        now = int(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now, step) for name, value in numbers.items()]
        self._try(lambda: self._client.log_batch(self._run, metrics=metrics))

    def close(self) -> None:
        """Mark the run as finished, until it is resumed."""
        self._try(lambda: self._client.set_terminated(self._run))

    def _try(self, send: Callable[[], object]) -> None:
        """A server that is gone costs the numbers that would have been sent to it, not the run."""
        if self._gone:
            return
        try:
            send()
        except self._failure as error:
            self._gone = True
            warnings.warn(f"MLflow takes no more numbers: {error}", stacklevel=2)

    def _known_run(self) -> str | None:
        """The run this folder has logged to before; None if there is none at this address."""
        path = self.folder / _RUN
        if not path.exists():
            return None
        run = path.read_text(encoding="utf-8").strip()
        try:
            self._client.update_run(run, status="RUNNING")
        except self._failure:
            return None
        return run

    def _new_run(self) -> str:
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        if experiment is None:
            identity = self._client.create_experiment(_EXPERIMENT)
        else:
            identity = experiment.experiment_id
        created = self._client.create_run(identity, run_name=self.folder.resolve().name)
        run = str(created.info.run_id)
        write_text(self.folder / _RUN, run + "\n")
        return run


def _import_mlflow() -> ModuleType:
    with _default_environment(_NO_TELEMETRY, "true"):
        return require("mlflow", extra="mlflow")


@contextmanager
def _default_environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a moment, unless it is set already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
