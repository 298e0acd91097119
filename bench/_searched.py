"""A search that has ended, and what its policies are built of again.

No command of its own: other files of this folder import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from sartor.budget import Budget
from sartor.compression import Compressor
from sartor.data import Data, Images
from sartor.pipeline import make_problem, make_target
from sartor.pipeline._setup import make_compressor
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.runs import Run
from sartor.scoring import ImageScorer


@dataclass(frozen=True, eq=False)
class Searched:
    """A search.

    Attributes:
        run: Its folder.
        data: Its images.
        compressor: Builds its candidates, from more calibration images than it did.
        problem: What it decided on.
    """

    run: Run
    data: Data
    compressor: Compressor
    problem: Problem

    @classmethod
    def of(cls, run: Run, *, calibration: int) -> Searched:
        """Read a run, with so many calibration images."""
        options = run.config.options
        subject, data = run._source().load_both(calibration)
        images = data.calibration.normalized()
        target = make_target(options)
        compressor = make_compressor(subject.model, images, images, options, target)
        problem = make_problem(compressor, Budget(()), options, target)
        return cls(run, data, compressor, problem)

    @property
    def reward_images(self) -> int:
        """How many gave the reward."""
        return max(episode.outcome.images for episode in self.run.episodes)

    def policy(self, executed: Mapping[str, float]) -> Policy:
        """That of an episode."""
        return self.problem.policy(self.problem.counts(dict(executed)))

    def refitted_from(self, first: int, count: int) -> Compressor:
        """The same compressor, but that candidates are refitted from these images alone."""
        assert self.compressor.images is not None
        other = Compressor(
            self.compressor.network,
            self.compressor.images[first : first + count],
            replace(self.compressor.options, images=count),
            self.compressor.seed,
            scheme=self.compressor.scheme,
        )
        # Which channels go is the search's, whatever these images say.
        vars(other)["ranking"] = self.compressor.ranking
        return other

    def scorer(self, images: Images, limit: int | None = None) -> ImageScorer:
        """Of accuracy, and of the divergence from the original; in the order of the search."""
        return ImageScorer.in_fastest_dtype(
            self.compressor.network.module,
            images,
            limit=limit,
            seed=self.run.config.options.seed,
            compare=True,
        )

    def unseen(self) -> Images:
        """Validation images that gave no reward; the test images where all did."""
        images = self.data.validation
        generator = torch.Generator().manual_seed(self.run.config.options.seed)
        others = torch.randperm(len(images), generator=generator)[self.reward_images :]
        if not len(others):
            assert self.data.test is not None
            return self.data.test
        return replace(images, pixels=images.pixels[others], labels=images.labels[others])
