"""Repairs of what may be delivered: how long, and of whom."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import fx

from sartor.compression import Compressor, block_outputs
from sartor.data import Images
from sartor.errors import SartorError
from sartor.finetune import Epoch
from sartor.machine import Note, Progress, Step
from sartor.pipeline._entries import Entry, Repair
from sartor.pipeline._options import SearchOptions
from sartor.policy import Policy
from sartor.repair import FEWEST_IMAGES, Repaired, RepairOptions, repair, steps_of
from sartor.search import Episode
from sartor.tasks import Task

#: Forward passes that learning from one image takes: its own, twice as many backwards, and the
#: original's.
_PASSES = 4
#: Images that are shown by default at most, and MACs of their forward passes together.
_MOST_SHOWN = 65_536
_MACS = 10**13
#: Of all that may be shown, each finalist is shown so much before one is chosen.
_BRIEFLY = 8
#: Fewer steps than this teach nothing.
_FEWEST_STEPS = 8
#: Finalists that are repaired before one is chosen.
MOST_FINALISTS = 3


@dataclass(eq=False)
class Repairs:
    """Repairs the finalists of a search briefly, and what is delivered for longer.

    Attributes:
        compressor: Whose candidates are repaired.
        images: Calibration images, of which labels are not looked at.
        task: What the network is for.
        shown: Images that a whole repair is shown.
        seed: Fixes everything.
        optional: Whether what cannot be repaired is delivered as it is, and that is said.
        folder: Where repairs are kept that need not be done twice; nowhere if None.
        progress: Is told of every round.
        seconds: What all repairs took so far.
        learning_rate: That of the first, which others take over: they are of much the same network,
            and trials take longer than a brief repair.
    """

    compressor: Compressor
    images: Images
    task: Task
    shown: int
    seed: int
    optional: bool
    folder: Path | None
    progress: Progress
    seconds: float = 0.0
    learning_rate: float | None = None

    @classmethod
    def of_search(
        cls,
        compressor: Compressor,
        images: Images | None,
        task: Task,
        options: SearchOptions,
        *,
        episodes: Sequence[Episode],
        folder: Path | None,
        progress: Progress,
    ) -> Repairs | None:
        """Repairs after some episodes; None where none are wanted, or nothing would be learned."""
        if images is None or options.repair == "fit":
            return None
        shown = options.repair_images or _usual(compressor)
        if options.repair == "auto" and options.repair_images is None:
            shown = min(shown, _affordable(options, episodes))

        found = cls(
            compressor=compressor,
            images=images.slice(0, options.calibration_images),
            task=task,
            shown=shown,
            seed=options.seed,
            optional=options.repair == "auto",
            folder=folder,
            progress=progress,
        )
        return found if found.wanted or not found.optional else None

    @property
    def wanted(self) -> bool:
        """Whether there is enough to be shown for anything to be learned."""
        is_enough = steps_of(self._options(self.shown), self.images) >= _FEWEST_STEPS
        return is_enough and len(self.images) >= FEWEST_IMAGES

    @property
    def wanted_briefly(self) -> bool:
        """Whether an eighth of it is enough, too."""
        return steps_of(self._options(self._brief), self.images) >= _FEWEST_STEPS

    def briefly(self, network: fx.GraphModule, policy: Policy) -> fx.GraphModule:
        """A finalist after a short repair."""
        found = self._tried(network, policy, self._brief, "brief")
        return network if found is None else found.model

    def wholly(self, network: fx.GraphModule, policy: Policy) -> Repaired | None:
        """What is to be delivered after all of its repair; None if it cannot be repaired.

        Raises what `repair` raises, unless repairs are optional.
        """
        return self._tried(network, policy, self.shown, "whole")

    def entry(self, found: Repaired, refitted: Entry, *, since: float) -> Repair:
        """What the report says of a repair, in a search that began ``since``."""
        return Repair(
            refitted=refitted,
            shown=self.shown,
            rounds=len(found.rounds),
            learning_rate=found.learning_rate,
            before=found.before,
            after=found.after,
            seconds=round(self.seconds, 3),
            share=round(self.seconds / (time.perf_counter() - since), 4),
        )

    @property
    def _brief(self) -> int:
        return max(1, self.shown // _BRIEFLY)

    def _options(self, shown: int) -> RepairOptions:
        return RepairOptions(
            shown=max(1, shown),
            learning_rate=self.learning_rate,
            seed=self.seed,
        )

    def _tried(
        self, network: fx.GraphModule, policy: Policy, shown: int, kind: str
    ) -> Repaired | None:
        """A repair; None where it fails and is optional: after a long search, it may not matter."""
        try:
            return self._repaired(network, policy, shown, kind)
        except (SartorError, RuntimeError) as error:
            if not self.optional:
                raise
            self.progress(Note(f"what was found is not repaired: {error}"))
            return None

    def _repaired(self, network: fx.GraphModule, policy: Policy, shown: int, kind: str) -> Repaired:
        options = self._options(shown)
        self.progress(Step("repairing", 0, options.rounds))

        def tell(epoch: Epoch) -> None:
            words = f"distance from the original {-epoch.best:.4f}"
            self.progress(Step("repairing", epoch.number + 1, options.rounds, words))

        found = repair(
            network,
            self.compressor.network.module,
            self.images,
            options,
            policy=policy,
            blocks=block_outputs(self.compressor.network, self.compressor.kept(policy)),
            task=self.task,
            checkpoint=self._checkpoint(policy, kind),
            on_round=tell,
        )
        self.seconds += found.seconds
        self.learning_rate = found.learning_rate
        return found

    def _checkpoint(self, policy: Policy, kind: str) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(policy.to_json().encode()).hexdigest()
        return self.folder / f"{kind}-{digest[:12]}.checkpoint.safetensors"


def _usual(compressor: Compressor) -> int:
    """Images that are worth showing to a network of such a size: minutes on two cores."""
    return max(1, min(_MOST_SHOWN, _MACS // compressor.cost_model.original.macs))


def _affordable(options: SearchOptions, episodes: Sequence[Episode]) -> int:
    """Images that can be shown within a share of what the search has run forwards."""
    refitted = options.compress.images
    passes = sum(episode.outcome.images + refitted for episode in episodes)
    return int(options.repair_share * passes / _PASSES)
