"""What is known of a run, from its folder; all of it optional but the options and at least one episode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartor.compression import holds_network, network_identity
from sartor.errors import RunError
from sartor.machine import read_json
from sartor.pipeline import Report
from sartor.runs._config import RUN_FILE as OPTIONS
from sartor.runs._config import RunConfig, from_folder
from sartor.runs._pick import command_of
from sartor.runs._run import (
    FINETUNE_REPORT,
    FINETUNED,
    RESULT,
    is_current,
    read_finetuned,
    read_result,
)
from sartor.runs._summary import missed_words
from sartor.search import Episode, read_episodes
from sartor.sensitivity import SENSITIVITY_FILE as SENSITIVITY
from sartor.sensitivity import Sensitivity


@dataclass(frozen=True)
class RunFacts:
    """``result`` is None while the search runs; ``finetuned`` is None, and ``verified`` empty, if that was not done with what
    the run now holds. ``command`` makes it again.
    """

    name: str
    config: RunConfig
    episodes: list[Episode]
    result: Report | None
    sensitivity: Sensitivity | None
    finetuned: dict[str, Any] | None
    verified: list[dict[str, Any]]
    command: str

    @property
    def state(self) -> str:
        """Whether the search is unfinished, be it running or killed, interrupted or finished."""
        if not self.result:
            return "unfinished"
        return "interrupted" if self.result.interrupted else "finished"

    @property
    def missed(self) -> list[str]:
        """What of the search is not as it was asked for."""
        return missed_words(self.result) if self.result else []

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per episode, as for a CSV file."""
        best, rows = float("-inf"), []
        for episode in self.episodes:
            best = max(best, episode.reward)
            outcome = episode.outcome
            rows.append(
                {
                    "episode": episode.number,
                    "source": episode.source,
                    "reward": episode.reward,
                    "best_reward": best,
                    "accuracy": outcome.accuracy,
                    "divergence": outcome.divergence,
                    "macs": outcome.cost.macs,
                    "params": outcome.cost.params,
                    "size": outcome.cost.size,
                    "bops": outcome.cost.bops,
                    "relative_latency": outcome.relative_latency,
                    "latency_settled": outcome.latency_settled,
                    "stopped": outcome.stopped,
                    "seconds": episode.seconds,
                }
            )
        return rows


def read_facts(folder: Path) -> RunFacts:
    """Everything in the folder of a run. Raises `RunError` if it is none, or holds no episode yet."""
    if not (folder / OPTIONS).exists():
        raise RunError(f"{folder / OPTIONS} does not exist; {folder} is not the folder of a run")
    episodes = read_episodes(folder)
    if not episodes:
        raise RunError(f"{folder} holds no episode yet; there is nothing to report")
    sensitivity, result = (
        folder / SENSITIVITY,
        read_result(folder) if (folder / RESULT).exists() else None,
    )
    if result and result.episodes < len(episodes):
        result = None  # left when it was interrupted; it goes on since
    tuned = folder / FINETUNED
    current = holds_network(folder) and holds_network(tuned) and is_current(folder)
    found = sorted((folder / "export").glob("*.verified.json"))
    verified = [read_json(path, missing=f"{path} does not exist", error=RunError) for path in found]
    place = tuned if current else folder
    network = network_identity(place) if verified and holds_network(place) else ""
    finetuned = read_finetuned(folder) if current and (tuned / FINETUNE_REPORT).exists() else None
    return RunFacts(
        folder.resolve().name,
        from_folder(folder),
        episodes,
        result,
        Sensitivity.read(sensitivity) if sensitivity.exists() else None,
        finetuned,
        [item for item in verified if item.get("network") == network],
        command_of(folder, finetuned=finetuned is not None),
    )
