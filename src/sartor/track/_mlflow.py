"""MLflow: where ``MLFLOW_TRACKING_URI`` says, else a database in the folder of the run."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sartor.errors import RunError
from sartor.machine import require, write_text
from sartor.track._base import Numbers, Tracker

_DATABASE, _RUN = "mlflow.db", "mlflow.run"
_EXPERIMENT = "sartor"


class MlflowTracker(Tracker):
    """Logs to a run of MLflow, the same one when a search is resumed and when its network is fine-tuned.

    Nothing is sent but to the address the user gave: MLflow's own telemetry is off unless ``MLFLOW_DISABLE_TELEMETRY`` says
    otherwise. Raises `MissingPackageError` without mlflow, `RunError` if nothing can be logged at that address.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        mlflow = require("mlflow", extra="mlflow")
        self._entities = mlflow.entities
        folder.mkdir(parents=True, exist_ok=True)
        place = (
            os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / _DATABASE).resolve()}"
        )
        self._failure: type[Exception] = mlflow.exceptions.MlflowException
        self._gone = False
        try:
            self._client = mlflow.MlflowClient(tracking_uri=place)
            self._run = self._known(folder / _RUN, folder.resolve().name)
        except self._failure as error:
            raise RunError(
                f"MLflow at {place} cannot be used: {error}; see MLFLOW_TRACKING_URI"
            ) from error

    def log(self, numbers: Numbers, step: int) -> None:
        """All numbers of a step in one message."""
        now = int(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now, step) for name, value in numbers.items()]
        self._try(lambda: self._client.log_batch(self._run, metrics=metrics))

    def close(self) -> None:
        """The run has ended, until it is resumed."""
        self._try(lambda: self._client.set_terminated(self._run))

    def _try(self, send: Callable[[], object]) -> None:
        """A server that is gone costs the numbers it would have been told, not the run."""
        if self._gone:
            return
        try:
            send()
        except self._failure as error:
            self._gone = True
            warnings.warn(f"MLflow takes no more numbers: {error}", stacklevel=2)

    def _known(self, path: Path, name: str) -> str:
        """The run this folder has logged to before, or a new one."""
        if path.exists():
            run = path.read_text(encoding="utf-8").strip()
            with suppress(self._failure):  # else it is of another place
                self._client.update_run(run, status="RUNNING")
                return run
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        identity = (
            self._client.create_experiment(_EXPERIMENT)
            if experiment is None
            else experiment.experiment_id
        )
        run = str(self._client.create_run(identity, run_name=name).info.run_id)
        write_text(path, run + "\n")
        return run
