"""What is known of a run, from its folder: each file is read once."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sartor.budget import Budget
from sartor.compression import StoredNetwork, holds_network, network_identity
from sartor.errors import RunError
from sartor.export import FORMATS
from sartor.pipeline import Entry, Report
from sartor.policy import Policy
from sartor.runs._config import RunConfig, command_line
from sartor.runs._finetune import FinetuneReport
from sartor.runs._layout import Layout
from sartor.runs._repair import RepairReport
from sartor.runs._summary import missed_words
from sartor.runs._verdict import Verdict, verdict, with_trained
from sartor.runs._verify import VerifiedRun
from sartor.search import Episode, better, could_be_delivered, read_episodes
from sartor.sensitivity import Sensitivity
from sartor.tasks import TASKS

#: How far the search of a run has come.
State = Literal["unfinished", "interrupted", "finished"]


class RunFolder:
    """The folder of a run, to be read.

    What was read stays: `refresh` lets everything be read anew.

    Args:
        folder: Where it is, or will be.
        config: What the run is asked to do; if not given, what ``run.json`` holds.
    """

    def __init__(self, folder: str | Path, *, config: RunConfig | None = None) -> None:
        self.folder = Path(folder)
        self.layout = Layout(self.folder)
        self._config = config

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.folder.resolve().name

    @cached_property
    def config(self) -> RunConfig:
        """What was asked for. Raises `RunError` if the folder is not that of a run."""
        config = self._config or RunConfig.read(self.folder)
        return dataclasses.replace(config, out=self.folder)  # it may have been moved

    @property
    def exists(self) -> bool:
        """Whether the folder is that of a run."""
        return self.layout.config.exists()

    def require_run(self) -> None:
        """Raise `RunError` if the folder is not that of a run."""
        if not self.exists:
            raise RunError(
                f"{self.layout.config} does not exist; {self.folder} is not the folder of a run"
            )

    @cached_property
    def network(self) -> StoredNetwork:
        """The network that was found. Raises `RunError` if there is none yet."""
        return StoredNetwork.read(self.folder)

    @property
    def policy(self) -> Policy:
        """What was decided. Raises `RunError` if nothing was yet."""
        return self.network.policy

    @cached_property
    def episodes(self) -> tuple[Episode, ...]:
        """Every policy scored so far, in order."""
        return tuple(read_episodes(self.layout.episodes))

    def require_episodes(self) -> tuple[Episode, ...]:
        """Every policy scored. Raises `RunError` if there is none yet, or no run."""
        self.require_run()
        if not self.episodes:
            raise RunError(f"{self.folder} holds no episode yet; there is nothing to report")
        return self.episodes

    @cached_property
    def result(self) -> Report | None:
        """What was found; None until the search ends, and while an interrupted one goes on."""
        path = self.layout.result
        if not path.is_file():
            return None
        text = path.read_text(encoding="utf-8", errors="replace")
        report = Report.from_json(text, str(path))

        # The report of an interrupted search stays until the search that goes on replaces it.
        goes_on = report.episodes < len(self.episodes)
        return None if goes_on else report

    def require_result(self) -> Report:
        """What was found. Raises `RunError`, with the command that goes on, if nothing was yet."""
        if self.result is None:
            self.require_run()
            raise RunError(
                f"{self.layout.result} does not exist; the run is not finished. Resume it with: "
                f"{command_line('search', '--resume', self.folder)}"
            )
        return self.result

    @property
    def state(self) -> State:
        """Whether the search is unfinished, be it running or killed, interrupted or finished."""
        if self.result is None:
            return "unfinished"
        return "interrupted" if self.result.interrupted else "finished"

    @property
    def missed(self) -> list[str]:
        """What of the search is not as it was asked for, one sentence each."""
        return [] if self.result is None else missed_words(self.result)

    @property
    def metric(self) -> str:
        """What measures how good networks are, such as top-1 or mIoU."""
        if self.result is not None:
            return self.result.metric
        name = self.config.task
        # A task of the user's own may not be at hand.
        return TASKS.get(name).metric if name in TASKS else "score"

    @cached_property
    def sensitivity(self) -> Sensitivity | None:
        """How sensitive each layer is, if that was measured for the search."""
        path = self.layout.sensitivity
        return Sensitivity.read(path) if path.exists() else None

    @cached_property
    def repaired(self) -> RepairReport | None:
        """What came of repairing what the run now holds; None if that was not done."""
        path = self.layout.repair_report
        if not path.exists() or not self._is_current(self.layout.repaired):
            return None
        return RepairReport.read(path)

    @property
    def untuned(self) -> StoredNetwork:
        """What fine-tuning begins with: what was repaired, else what was found.

        Raises `RunError` if there is neither, while a repair has begun and not ended, and if it is
        of another policy.
        """
        if holds_network(self.layout.repaired):
            self._require_current(self.layout.repaired, "repair")
            return StoredNetwork.read(self.layout.repaired)
        if self.layout.repair_checkpoint.exists():
            raise RunError(
                f"the repair in {self.layout.repaired} has not ended; go on with: "
                f"{command_line('repair', self.folder, '--resume')}, or remove it"
            )
        return self.network

    @cached_property
    def finetuned(self) -> FinetuneReport | None:
        """What came of fine-tuning what the run now holds; None if that was not done."""
        path = self.layout.finetune_report
        if not path.exists() or not self._is_current(self.layout.finetuned):
            return None
        return FinetuneReport.read(path)

    def require_finetuned(self) -> FinetuneReport:
        """What came of fine-tuning. Raises `RunError` if it was not done, or of another policy."""
        if holds_network(self.layout.finetuned):
            self.require_current()
        if self.finetuned is None:
            raise RunError(
                f"{self.layout.finetune_report} does not exist; make it with: "
                f"{command_line('finetune', self.folder)}"
            )
        return self.finetuned

    def require_current(self) -> None:
        """Raise `RunError` if what was fine-tuned is not of the policy that the run now has."""
        self._require_current(self.layout.finetuned, "fine-tune")

    def _require_current(self, folder: Path, again: str) -> None:
        if not self._is_current(folder):
            raise RunError(
                f"{folder} was made from another policy than the run now has; remove it, or "
                f"{again} again"
            )

    def _is_current(self, folder: Path) -> bool:
        """Whether a folder holds a network of the policy that the run now has."""
        if not holds_network(self.folder) or not holds_network(folder):
            return False
        return StoredNetwork.read(folder).policy == self.policy

    @property
    def latest(self) -> StoredNetwork:
        """The network to deliver: what was fine-tuned, else repaired, else found.

        Raises `RunError` if there is none, and while a repair or a fine-tuning has begun and not
        ended.
        """
        if not holds_network(self.folder):
            self.require_run()
            raise RunError(
                f"{self.folder} holds no finished run; resume it with: "
                f"{command_line('search', '--resume', self.folder)}"
            )
        if holds_network(self.layout.finetuned):
            self.require_current()
            return StoredNetwork.read(self.layout.finetuned)

        # Half a fine-tuning: what was found is not what its owner is about to deliver.
        if self.layout.checkpoint.exists():
            raise RunError(
                f"the fine-tuning in {self.layout.finetuned} has not ended; go on with: "
                f"{command_line('finetune', self.folder, '--resume')}, or remove it"
            )
        return self.untuned

    @cached_property
    def exports(self) -> dict[str, Path]:
        """Exported files by their format, those that are where `export` writes them."""
        found = {}
        for name in FORMATS:
            suffix = FORMATS.get(name).suffix
            path = self.layout.artifact(suffix)
            if path.exists():
                found[name] = path
        return found

    @cached_property
    def verified(self) -> tuple[VerifiedRun, ...]:
        """Verifications of exported files, those that were made of what the run now holds."""
        found = [VerifiedRun.read(path) for path in self.layout.verifications]
        if not found or not holds_network(self.folder):
            return ()

        delivered = self.folder
        for folder in (self.layout.repaired, self.layout.finetuned):
            if self._is_current(folder):
                delivered = folder
        network = network_identity(delivered)

        # Files that were exported before a training hold another network.
        current = []
        for item in found:
            if item.found.network == network:
                current.append(item)
        return tuple(current)

    @property
    def networks(self) -> dict[str, Entry]:
        """All networks by name, what is delivered last; none while the search goes on."""
        if self.result is None:
            return {}
        return with_trained(self.result, self.repaired, self.finetuned)

    @property
    def faults(self) -> list[str]:
        """What is not as it was asked for or promised, one sentence each."""
        faults = list(self.missed)
        for verified in self.verified:
            faults += verified.faults
        return faults

    @property
    def verdict(self) -> Verdict | None:
        """What came of it all in a sentence and a few numbers; None while the search goes on."""
        if self.result is None:
            return None
        return verdict(self.result, self.networks, self.verified, self.faults)

    @property
    def ceiling(self) -> float | None:
        """The bound on latency as a share of the original's; None where none binds the search."""
        if self.result is not None:
            return self.result.latency_ceiling if self.result.budget_enforced else None

        budget = Budget.parse(self.config.budget)
        for episode in self.episodes:
            outcome = episode.outcome
            if outcome.latency_s and outcome.relative_latency:
                original_s = outcome.latency_s / outcome.relative_latency
                return budget.ceiling("latency", original_s)
        return None

    @property
    def best_episode(self) -> Episode | None:
        """The best so far of those that could be delivered; None while there is none."""
        best: Episode | None = None
        for episode in self.episodes:
            best = better(episode, best, self.ceiling)
        return best

    @property
    def command(self) -> str:
        """The commands that make the latest network of the run again."""
        trained = [report.command for report in (self.repaired, self.finetuned) if report]
        return " && ".join([self.search_command, *trained])

    @property
    def search_command(self) -> str:
        """The commands that make what was found, or picked from another run, again."""
        # What was picked lies in the folder of the run that it was picked from.
        around = RunFolder(self.folder.parent)
        number = self.layout.picked_episode
        is_picked = number is not None or self.layout.is_further
        if not is_picked or not around.exists:
            return self.config.command

        if number is None:
            before = around.command
            picking = command_line("pick", around.folder, "--finetuned")
        else:
            before = around.search_command
            picking = command_line("pick", around.folder, "--episode", number)
        return f"{before} && {picking}"

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per episode, as for a CSV file."""
        ceiling = self.ceiling
        best: Episode | None = None
        rows = []
        for episode in self.episodes:
            best = better(episode, best, ceiling)
            outcome = episode.outcome
            rows.append(
                {
                    "episode": episode.number,
                    "source": episode.source,
                    "reward": episode.reward,
                    "best_reward": None if best is None else best.reward,
                    "in_budget": could_be_delivered(episode, ceiling),
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

    def refresh(self) -> None:
        """Forget what was read: the folder may hold something else by now."""
        # A cached property stands among the attributes of its object once it was read.
        for name in list(vars(self)):
            if isinstance(getattr(type(self), name, None), cached_property):
                delattr(self, name)
