"""What a search has learned by heart: its gain on the images of its reward, and on others.

    python bench/overfit.py runs/a runs/b

A rule's policy and the best one are built again, with the same ranking of channels, and refitted
from four sets of calibration images. Others are the validation images that gave no reward, or,
where all of them did, the test images. Gain is the best policy's against the rule's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from _common import print_header, print_row
from sartor.budget import Budget
from sartor.compression import Compressor
from sartor.data import Data, Images
from sartor.machine import keep_freed_memory, reproducible
from sartor.pipeline import make_problem, make_target
from sartor.pipeline._setup import make_compressor
from sartor.policy import Policy
from sartor.runs import Run
from sartor.scoring import ImageScorer, Score
from sartor.search import Episode

#: Calibration images of the larger sets.
_MORE = 1024
keep_freed_memory()


@dataclass(frozen=True)
class Arguments:
    """Gains of searches on images that they have seen, and that they have not.

    Attributes:
        runs: Folders of searches.
        rule: Whose policy the best one is held against.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    rule: str = "knapsack"


@dataclass(frozen=True, eq=False)
class Subject:
    """A search, and what its policies are built of again."""

    run: Run
    data: Data
    compressor: Compressor
    rule: Policy
    best: Policy

    @classmethod
    def of(cls, run: Run, rule: str) -> Subject:
        """Read a run."""
        options = run.config.options
        most = 2 * max(_MORE, options.compress.images)
        subject, data = run._source().load_both(calibration=most)
        target = run._target or make_target(options)
        images = data.calibration.normalized()
        compressor = make_compressor(subject.model, images, images, options, target)
        problem = make_problem(compressor, Budget(()), options, target)

        def policy(episode: Episode) -> Policy:
            return problem.policy(problem.counts(episode.executed))

        ruled = next(episode for episode in run.episodes if episode.source == rule)
        whole = [episode for episode in run.episodes if not episode.outcome.stopped]
        best = max(whole, key=lambda episode: episode.reward)
        return cls(run, data, compressor, policy(ruled), policy(best))

    def refitted_from(self, first: int, count: int) -> Compressor:
        """The same, but that candidates are refitted from other images."""
        options = replace(self.compressor.options, images=count)
        assert self.compressor.images is not None
        images = self.compressor.images[first : first + count]
        other = Compressor(
            self.compressor.network,
            images,
            options,
            self.compressor.seed,
            scheme=self.compressor.scheme,
        )
        # Which channels go is the search's, whatever these images say.
        vars(other)["ranking"] = self.compressor.ranking
        return other

    def scorers(self) -> tuple[ImageScorer, ImageScorer]:
        """Of the images of the reward, and of others."""
        validation = self.data.validation
        generator = torch.Generator().manual_seed(self.run.config.options.seed)
        order = torch.randperm(len(validation), generator=generator)
        count = max(episode.outcome.images for episode in self.run.episodes)
        seen = order[:count]
        others = order[count:]
        unseen = _some(validation, others) if len(others) else self.data.test
        assert unseen is not None
        return self._scorer(_some(validation, seen)), self._scorer(unseen)

    def _scorer(self, images: Images) -> ImageScorer:
        original = self.compressor.network.module
        return ImageScorer.in_fastest_dtype(original, images, compare=True)


def main() -> None:
    """Print a table for each run."""
    arguments = tyro.cli(Arguments)
    for folder in arguments.runs:
        _print(Subject.of(Run(folder), arguments.rule), folder)


def _print(subject: Subject, folder: Path) -> None:
    print(f"\n{folder}: {len(subject.run.episodes)} episodes, {subject.run.config.budget}\n")
    print_header(
        "refitted from",
        "KL, reward images",
        "KL, others",
        "accuracy, reward images",
        "accuracy, others",
    )
    few = subject.compressor.options.images
    with reproducible(subject.compressor.device):
        seen, others = subject.scorers()
        for name, first, count in (
            (f"the search's {few}", 0, few),
            (f"another {few}", few, few),
            (f"{_MORE:,}", 0, _MORE),
            (f"another {_MORE:,}", _MORE, _MORE),
        ):
            compressor = subject.refitted_from(first, count)
            before = compressor.candidate(subject.rule)
            after = compressor.candidate(subject.best)
            pairs = [(scorer.score(before), scorer.score(after)) for scorer in (seen, others)]
            print_row(name, *_divergences(pairs), *_accuracies(pairs))


def _divergences(pairs: list[tuple[Score, Score]]) -> Iterator[str]:
    for before, after in pairs:
        assert before.divergence is not None
        assert after.divergence is not None
        change = after.divergence / before.divergence - 1
        yield f"{before.divergence:.4f} → {after.divergence:.4f} ({100 * change:+.0f} %)"


def _accuracies(pairs: list[tuple[Score, Score]]) -> Iterator[str]:
    for before, after in pairs:
        yield f"{100 * before.accuracy:.2f} → {100 * after.accuracy:.2f}"


def _some(images: Images, numbers: torch.Tensor) -> Images:
    return replace(images, pixels=images.pixels[numbers], labels=images.labels[numbers])


if __name__ == "__main__":
    main()
