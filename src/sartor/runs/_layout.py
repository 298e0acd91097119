"""Every file name in the folder of a run, and of a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_EPISODE = "episode-"
_FURTHER = "further"
_VERIFIED = ".verified.json"


@dataclass(frozen=True)
class Layout:
    """Where everything of a run lies.

    The network itself, ``network.json``, ``policy.json`` and ``model.safetensors``, lies in the
    folder too, and in `repaired` and `finetuned`: `sartor.load` reads all of them.

    >>> Layout(Path("runs/a")).result.as_posix()
    'runs/a/result.json'
    """

    folder: Path

    @property
    def config(self) -> Path:
        """What was asked for: `RunConfig`."""
        return self.folder / "run.json"

    @property
    def episodes(self) -> Path:
        """Every policy scored, one line each: an Optuna journal."""
        return self.folder / "episodes.journal"

    @property
    def sensitivity(self) -> Path:
        """How sensitive each layer is, if that was measured for the search."""
        return self.folder / "sensitivity.json"

    @property
    def probes(self) -> Path:
        """What each decision costs alone, if that was tried for the search."""
        return self.folder / "probes.json"

    @property
    def experience(self) -> Path:
        """What other searches can learn from this one, once it has ended."""
        return self.folder / "experience.json"

    @property
    def goal(self) -> Path:
        """What was tried before the search, to find out how small a network can be."""
        return self.folder / "goal.json"

    @property
    def latencies(self) -> Path:
        """Latencies of layers, each measured alone."""
        return self.folder / "latency.json"

    @property
    def profile(self) -> Path:
        """Shares of layers in the whole latency, by the target's profiler."""
        return self.folder / "profile.json"

    @property
    def images(self) -> Path:
        """Folder of decoded images, if they do not fit into memory; it can be removed."""
        return self.folder / "images"

    @property
    def repairs(self) -> Path:
        """Folder of the checkpoints of repairs in a search; gone once it has ended."""
        return self.folder / "repairs"

    @property
    def result(self) -> Path:
        """What was found: `sartor.pipeline.Report`. Written last."""
        return self.folder / "result.json"

    @property
    def repaired(self) -> Path:
        """Folder of the network after a repair."""
        return self.folder / "repaired"

    @property
    def repair_checkpoint(self) -> Path:
        """Where a repair stands."""
        return self.repaired / "repair.checkpoint.safetensors"

    @property
    def repair_report(self) -> Path:
        """What came of a repair: `RepairReport`. Written last."""
        return self.repaired / "repair.json"

    @property
    def finetuned(self) -> Path:
        """Folder of the network after fine-tuning."""
        return self.folder / "finetuned"

    @property
    def checkpoint(self) -> Path:
        """Where fine-tuning stands."""
        return self.finetuned / "finetune.checkpoint.safetensors"

    @property
    def finetune_report(self) -> Path:
        """What came of fine-tuning: `FinetuneReport`. Written last."""
        return self.finetuned / "finetune.json"

    @property
    def exports(self) -> Path:
        """Folder of exported files."""
        return self.folder / "export"

    def artifact(self, suffix: str) -> Path:
        """Where a format of that suffix is exported to."""
        return self.exports / f"model{suffix}"

    @property
    def verifications(self) -> list[Path]:
        """What verifications there are, by name."""
        return sorted(self.exports.glob(f"*{_VERIFIED}"))

    @property
    def report(self) -> Path:
        """Folder of the page, the figures and the model card."""
        return self.folder / "report"

    def episode(self, number: int) -> Path:
        """Folder of an episode that was picked, a run of its own."""
        return self.folder / f"{_EPISODE}{number}"

    @property
    def further(self) -> Path:
        """Folder of what was fine-tuned and picked to go on from, a run of its own."""
        return self.folder / _FURTHER

    @property
    def picked_episode(self) -> int | None:
        """The number of the episode that this folder holds, by its name."""
        number = self.folder.name.removeprefix(_EPISODE)
        is_episode = number.isdecimal() and self.folder.name == f"{_EPISODE}{number}"
        return int(number) if is_episode else None

    @property
    def is_further(self) -> bool:
        """Whether this folder holds what was fine-tuned in the run around it, by its name."""
        return self.folder.name == _FURTHER

    @property
    def start(self) -> Path:
        """Which weights a stage of a schedule was searched from."""
        return self.folder / "start.json"

    @property
    def full_width(self) -> Path:
        """What a stage leaves to the next: weights in the shape of the original."""
        return self.folder / "tuned.safetensors"


@dataclass(frozen=True)
class ScheduleLayout:
    """Where everything of a schedule lies."""

    folder: Path

    @property
    def schedule(self) -> Path:
        """What was asked for: `Schedule`."""
        return self.folder / "schedule.json"

    @property
    def stages(self) -> Path:
        """What came of the stages that have ended."""
        return self.folder / "stages.json"

    def stage(self, number: int) -> Path:
        """Folder of a stage, counted from 1: a run."""
        return self.folder / f"stage-{number}"


def verification_of(artifact: Path) -> Path:
    """Where the verification of an exported file is kept: beside it."""
    return artifact.with_name(f"{artifact.name}{_VERIFIED}")
