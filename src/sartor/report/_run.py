"""What is known of a run, from its folder; all of it optional but the options and at least one episode."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartor.config import FILE as OPTIONS
from sartor.config import RunConfig, from_folder
from sartor.errors import RunError
from sartor.run import FINETUNE_REPORT, FINETUNED
from sartor.search import Episode, read_episodes
from sartor.sensitivity import FILE as SENSITIVITY
from sartor.sensitivity import Sensitivity

_RESULT = "result.json"


@dataclass(frozen=True)
class Facts:
    """``result`` is empty while the search runs; ``verified`` by format, ``finetuned`` None if it was not done."""

    name: str
    config: RunConfig
    episodes: list[Episode]
    result: dict[str, Any]
    sensitivity: Sensitivity | None
    finetuned: dict[str, Any] | None
    verified: list[dict[str, Any]]

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per episode, as for a CSV file."""
        best, rows = float("-inf"), []
        for episode in self.episodes:
            best = max(best, episode.reward)
            outcome = episode.outcome
            rows.append({
                "episode": episode.number, "source": episode.source, "reward": episode.reward, "best_reward": best,
                "accuracy": outcome.accuracy, "divergence": outcome.divergence, "macs": outcome.cost.macs,
                "params": outcome.cost.params, "size": outcome.cost.size, "bops": outcome.cost.bops,
                "relative_latency": outcome.relative_latency, "latency_settled": outcome.latency_settled,
                "stopped": outcome.stopped, "seconds": episode.seconds,
            })  # fmt: skip
        return rows


def read(folder: Path) -> Facts:
    """Everything in the folder of a run. Raises `RunError` if it is none, or holds no episode yet."""
    if not (folder / OPTIONS).exists():
        raise RunError(f"{folder / OPTIONS} does not exist; {folder} is not the folder of a run")
    episodes = read_episodes(folder)
    if not episodes:
        raise RunError(f"{folder} holds no episode yet; there is nothing to report")
    sensitivity = folder / SENSITIVITY
    return Facts(
        folder.resolve().name,
        from_folder(folder),
        episodes,
        _json(folder / _RESULT) or {},
        Sensitivity.read(sensitivity) if sensitivity.exists() else None,
        _json(folder / FINETUNED / FINETUNE_REPORT),
        [found for path in sorted((folder / "export").glob("*.verified.json")) if (found := _json(path))],
    )


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
