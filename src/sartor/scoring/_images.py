"""How good a network is on images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression import fastest_dtype, fold, is_quantized
from sartor.data import Images
from sartor.machine import channels_last
from sartor.scoring._classes import logits, require_classes
from sartor.scoring._divergence import divergences
from sartor.scoring._race import estimate, is_hopeless
from sartor.scoring._score import Score
from sartor.targets import Deployment

#: Images per forward pass: small enough for activations to stay in the processor's cache.
_BATCH = 100
#: A candidate may be given up after these parts of the images.
_LOOKS = (8, 4, 2)

#: Outputs for images from … to.
Run = Callable[[int, int], Any]


class ImageScorer:
    """Top-1 accuracy on images held in memory, and the divergence from an original network.

    While scoring, after 1/8, 1/4 and 1/2 of the images, a one-sided paired test on those seen
    decides whether to go on; the chance of stopping a candidate that is no worse stays below 0.1 %
    over all looks. A stopped candidate is credited with the rival's score plus the difference seen.

    >>> from sartor.graph import trace
    >>> images = Images(torch.eye(4).view(4, 4, 1, 1), labels=torch.tensor([0, 1, 2, 0]))
    >>> network = trace(nn.Flatten(), images.pixels).module
    >>> ImageScorer(images).score(network).accuracy
    0.75

    Args:
        images: With one class number each.
        limit: How many of them to use; all if None.
        seed: Of the order in which they are looked at.
        dtype: What networks compute in, unless they are quantized.
        original: The network that the divergence is measured from.
        deployment: Where quantized networks run, so that their accuracy is the delivered one; where
            there is none, rounding is simulated in fp32.
    """

    def __init__(
        self,
        images: Images,
        *,
        limit: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        original: fx.GraphModule | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        self._all = images
        self._limit = limit
        self._seed = seed
        self._dtype = dtype
        self._original = original
        self._deployment = deployment

    @classmethod
    def in_fastest_dtype(
        cls,
        network: fx.GraphModule,
        images: Images,
        *,
        limit: int | None = None,
        seed: int = 0,
        compare: bool = False,
        deployment: Deployment | None = None,
    ) -> ImageScorer:
        """A scorer of candidates of a ``network``, in what the processor computes it in fastest.

        With ``compare``, the divergence of candidates from it is measured.
        """
        few = images.slice(0, 2).normalized()
        dtype = fastest_dtype(network, (few,))
        return cls(
            images,
            limit=limit,
            seed=seed,
            dtype=dtype,
            original=network if compare else None,
            deployment=deployment,
        )

    def __len__(self) -> int:
        return len(self._images)

    @torch.no_grad()
    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Score a traced network. Raises `UsageError` and `DataError` as `require_classes` does."""
        assert isinstance(network, fx.GraphModule)
        run = self._runner(network)
        outputs: list[Tensor] = []
        seen = 0

        for look in self._looks:
            outputs += _in_batches(run, seen, look)
            seen = look
            score = self._score(outputs)
            if rival is not None and self._is_hopeless(score, rival):
                return estimate(score, rival)

        outputs += _in_batches(run, seen, len(self))
        return self._score(outputs)

    def _is_hopeless(self, score: Score, rival: Score) -> bool:
        saw_the_same = rival.images == len(self)
        return saw_the_same and is_hopeless(score, rival, len(self._looks))

    def _score(self, batches: list[Tensor]) -> Score:
        """Of the first images, whose outputs (images, classes) are given batch by batch."""
        outputs = torch.cat(batches)
        require_classes(outputs.shape[1:], self._images.labels)

        count = len(outputs)
        correct = _answered_rightly(outputs, self._images.labels[:count])
        accuracy = correct.float().mean()
        score = Score(float(accuracy), images=count, correct=correct)
        if self._original is None:
            return score

        distances = divergences(outputs, self._expected[:count])
        mean = distances.mean()
        return replace(score, divergence=float(mean), divergences=distances)

    def _runner(self, network: fx.GraphModule) -> Run:
        """What runs a network in the form that the processor, or the target, runs fastest."""
        forward: Callable[[Tensor], Any]
        if not is_quantized(network):
            pixels = self._pixels
            forward = fold(network, self._dtype)
        elif self._deployment is None:
            pixels = self._exact_pixels
            forward = network
        else:
            pixels = self._exact_pixels
            forward = self._deployment.forward(network)

        return lambda start, stop: forward(pixels[start:stop])

    @cached_property
    def _images(self) -> Images:
        """The images that are used, in the order in which they are looked at."""
        given = self._all

        # Shuffled, because data sets may be sorted by class, and the first images have to stand for
        # all of them.
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        order = torch.randperm(len(given), generator=generator)
        chosen = order[: self._limit]

        return Images(
            pixels=given.pixels[chosen],
            labels=given.labels[chosen],
            mean=given.mean,
            std=given.std,
        )

    @cached_property
    def _looks(self) -> list[int]:
        """After how many images a candidate may be given up."""
        # A set, because parts of few images may be the same.
        counts = {max(1, len(self) // part) for part in _LOOKS}
        return sorted(count for count in counts if count < len(self))

    @cached_property
    def _pixels(self) -> Tensor:
        """The images in the form that networks are scored in."""
        pixels = self._images.normalized()
        return channels_last(pixels.to(self._dtype))

    @cached_property
    def _exact_pixels(self) -> Tensor:
        """The images in fp32."""
        return self._images.normalized()

    @cached_property
    def _expected(self) -> Tensor:
        """Outputs of the original (images, classes)."""
        assert self._original is not None
        run = self._runner(self._original)
        with torch.no_grad():
            batches = _in_batches(run, 0, len(self))

        outputs = torch.cat(batches)
        require_classes(outputs.shape[1:], self._images.labels)
        return outputs


def _in_batches(run: Run, start: int, stop: int) -> list[Tensor]:
    """Class scores of the images from ``start`` to ``stop``."""
    found = []
    for first in range(start, stop, _BATCH):
        last = min(first + _BATCH, stop)
        output = run(first, last)
        found.append(logits(output))
    return found


def _answered_rightly(outputs: Tensor, labels: Tensor) -> Tensor:
    """Which images (images,) have their label's score as the largest (images, classes).

    Outputs that are not numbers are wrong.
    """
    is_number = outputs.isfinite().all(-1)
    answers = outputs.argmax(-1)
    return (answers == labels) & is_number
