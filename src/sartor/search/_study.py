"""The record of episodes: an Optuna study in the run folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from sartor.cost import Cost
from sartor.errors import RunError
from sartor.machine import quiet_logger
from sartor.scoring import Outcome
from sartor.search._episode import Episode

#: What the search was told, in the study.
_TOLD = "told"


class Study:
    """Episodes on disk, one line each, safe against a kill at any moment.

    ``told`` is what the search is told, by name: raises `RunError` if the episodes here are of one that was told otherwise, or
    cannot be read.
    """

    def __init__(self, path: Path, told: Mapping[str, Any] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_half_written_line(path)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        try:
            with quiet_logger("optuna"):
                self._study = optuna.create_study(
                    storage=JournalStorage(backend),
                    study_name="sartor",
                    direction="maximize",
                    load_if_exists=True,
                )
        except Exception as error:
            raise RunError(f"{path} cannot be read as a study: {error}") from error
        if told is not None:
            self._require_told(json.loads(json.dumps(told, default=str)), path)

    def episodes(self) -> list[Episode]:
        """All episodes, in order."""
        return [self._episode(trial) for trial in self._study.get_trials(deepcopy=False)]

    def append(self, episode: Episode) -> None:
        """Record an episode; it is on disk when this returns."""
        outcome = asdict(episode.outcome)
        attributes: dict[str, Any] = {
            "source": episode.source,
            "outcome": outcome,
            "seconds": episode.seconds,
            "seconds_agent": episode.seconds_agent,
        }
        space: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in episode.executed
        }
        trial = optuna.trial.create_trial(
            params=episode.executed,
            distributions=space,
            value=episode.reward,
            user_attrs=attributes,
        )
        self._study.add_trial(trial)

    def _require_told(self, told: dict[str, Any], path: Path) -> None:
        if not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr(_TOLD, told)
        for name, before in self._study.user_attrs.get(_TOLD, {}).items():
            if told.get(name) != before:
                raise RunError(
                    f"{path} is of a search with {name} {before}, not {told.get(name)}; go on with the same, or anew"
                )

    @staticmethod
    def _episode(trial: optuna.trial.FrozenTrial) -> Episode:
        attributes = trial.user_attrs
        stored = dict(attributes["outcome"])
        outcome = Outcome(**{**stored, "cost": Cost(**stored["cost"])})
        assert trial.value is not None
        return Episode(
            trial.number,
            attributes["source"],
            trial.params,
            trial.value,
            outcome,
            attributes["seconds"],
            attributes["seconds_agent"],
        )


def read_episodes(path: Path) -> list[Episode]:
    """Episodes of a journal that another process may be writing to; it is not touched."""
    if not path.exists():
        return []
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / path.name
        copy.write_bytes(path.read_bytes())
        return Study(copy).episodes()


def _drop_half_written_line(path: Path) -> None:
    """A process killed while writing leaves a line without its end; what follows it could never be read."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
