"""The record of episodes: an Optuna study in the run folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sartor.cost import Cost
from sartor.errors import RunError
from sartor.machine import quiet_logger
from sartor.scoring import Outcome
from sartor.search._episode import Episode

if TYPE_CHECKING:
    import optuna

#: Of the study's attributes: the settings of the search.
_SETTINGS = "settings"


class Study:
    """Episodes on disk, one line each, safe against a kill at any moment.

    ``path`` is a journal that is made if it is not there. ``settings`` are those of the search, by
    name. Raises `RunError` if the episodes here are of a search with others, or cannot be read.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Study(Path(folder) / "episodes.journal").episodes()
    []
    """

    def __init__(self, path: Path, settings: Mapping[str, Any] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_half_written_line(path)
        self._study = _open(path)
        if settings is not None:
            # As they come back from the journal, so that they can be compared.
            plain = json.loads(json.dumps(settings, default=str))
            self._require_settings(plain, path)

    def episodes(self) -> list[Episode]:
        """All episodes, in order."""
        return [_to_episode(trial) for trial in self._study.get_trials(deepcopy=False)]

    def append(self, episode: Episode) -> None:
        """Record an episode; it is on disk when this returns."""
        self._study.add_trial(_to_trial(episode))

    def _require_settings(self, settings: dict[str, Any], path: Path) -> None:
        if not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr(_SETTINGS, settings)

        recorded = self._study.user_attrs.get(_SETTINGS, {})
        for name, before in recorded.items():
            now = settings.get(name)
            if now != before:
                raise RunError(
                    f"{path} is of a search with {name} {before}, not {now}; go on with the same, "
                    "or anew"
                )


def read_episodes(path: Path) -> list[Episode]:
    """Episodes of a journal that another process may be writing to; it is not touched."""
    if not path.exists():
        return []

    # Opening a study mends its journal.
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / path.name
        copy.write_bytes(path.read_bytes())
        return Study(copy).episodes()


def _open(path: Path) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    # Optuna's default lock is a symbolic link, which not every file system has.
    lock = JournalFileOpenLock(str(path))
    backend = JournalFileBackend(str(path), lock_obj=lock)
    try:
        with quiet_logger("optuna"):
            return optuna.create_study(
                storage=JournalStorage(backend),
                study_name="sartor",
                direction="maximize",
                load_if_exists=True,
            )
    except Exception as error:
        raise RunError(f"{path} cannot be read as a study: {error}") from error


def _to_trial(episode: Episode) -> optuna.trial.FrozenTrial:
    from optuna.distributions import FloatDistribution
    from optuna.trial import create_trial

    return create_trial(
        params=episode.executed,
        distributions={name: FloatDistribution(0.0, 1.0) for name in episode.executed},
        value=episode.reward,
        user_attrs={
            "source": episode.source,
            "outcome": asdict(episode.outcome),
            "seconds": episode.seconds,
            "seconds_agent": episode.seconds_agent,
        },
    )


def _to_episode(trial: optuna.trial.FrozenTrial) -> Episode:
    attributes = trial.user_attrs
    stored = dict(attributes["outcome"])
    cost = Cost(**stored.pop("cost"))
    assert trial.value is not None
    return Episode(
        number=trial.number,
        source=attributes["source"],
        executed=trial.params,
        reward=trial.value,
        outcome=Outcome(cost=cost, **stored),
        seconds=attributes["seconds"],
        seconds_agent=attributes["seconds_agent"],
    )


def _drop_half_written_line(path: Path) -> None:
    """A process killed while writing leaves a line without its end, which hides what follows."""
    if not path.exists():
        return

    content = path.read_bytes()
    if not content or content.endswith(b"\n"):
        return

    whole_lines = content.rfind(b"\n") + 1
    with path.open("r+b") as file:
        file.truncate(whole_lines)
        os.fsync(file.fileno())
