"""How good a network is: on images, or by any measure of the user's."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from scipy.stats import binom, ttest_1samp
from torch import Tensor, fx, nn

from sartor.compression import fastest_dtype, fold, is_quantized
from sartor.data import Images
from sartor.errors import DataError, UsageError
from sartor.machine import channels_last
from sartor.targets import Deployment

#: Images per forward pass: small enough for activations to stay in the processor's cache.
_BATCH = 100
#: Divergence, in nats, that counts for outputs that are not numbers: more than that of outputs that are, however wrong.
_NO_ANSWER = 100.0
#: Probability, over all looks together, that a candidate no worse than the best is given up.
_FALSE_STOP = 1e-3


@dataclass(frozen=True)
class Score:
    """Accuracy in [0, 1] on ``images`` images; ``correct`` says which of them were right (None for a custom measure).

    ``divergence`` from the original network, in nats, and ``divergences`` of each image are None where there is nothing to
    compare with. A score that was ``stopped`` is an estimate.
    """

    accuracy: float
    images: int
    stopped: bool = False
    correct: Tensor | None = None
    divergence: float | None = None
    divergences: Tensor | None = None

    @property
    def losses(self) -> Tensor | None:
        """What tells candidates apart, per image: the divergence, or whether the answer was wrong."""
        return (
            self.divergences
            if self.correct is None or self.divergences is not None
            else ~self.correct
        )


def logits(output: Any) -> Tensor:
    """The class scores of what a network returns: its first tensor."""
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return output


@torch.no_grad()
def output_shape(network: nn.Module, image: Tensor, name: str) -> tuple[int, ...]:
    """Shape of the class scores of one image (1, …), without the batch; ``network`` is in evaluation mode afterwards.

    Raises `UsageError`, which calls it ``name``, for a network that cannot run on such an image.
    """
    try:
        return tuple(
            logits(network.eval()(image.to(next(network.parameters(), image).device))).shape[1:]
        )
    except Exception as error:  # somebody's forward pass may raise anything
        raise UsageError(
            f"{name} cannot run on images of shape {tuple(image.shape[1:])}: {error}"
        ) from error


def require_classes(shape: Sequence[int], labels: Tensor) -> int:
    """Number of classes of outputs of a ``shape`` (without the batch), to which ``labels`` belong.

    Raises `UsageError` for outputs that are no scores of at least two classes, `DataError` for labels that are none of them.
    """
    if len(shape) != 1 or shape[0] < 2:
        raise UsageError(
            f"the network's outputs have shape {tuple(shape)}; allowed are scores of at least two classes, shape (classes,), or "
            "anything with a measure of your own: compress(model, evaluate=...)"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= shape[0]:
        raise DataError(
            f"labels range from {low} to {high}; allowed are the network's classes, 0 to {shape[0] - 1}"
        )
    return shape[0]


class Scorer(Protocol):
    """Scores networks on validation data."""

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Score a network; may stop early, with an estimate, once it is certain to be worse than ``rival``."""
        ...


class ImageScorer:
    """Top-1 accuracy on images held in memory, in the form the processor runs fastest.

    ``limit`` images are used, in an order drawn once from ``seed``. With an ``original`` network the divergence from it is
    measured too. With a ``deployment`` quantized networks run where they will be delivered, so that their accuracy is the
    delivered one.

    While scoring, after 1/8, 1/4 and 1/2 of the images, a one-sided paired test on those seen decides whether to go on; the
    chance of stopping a candidate that is no worse stays below 0.1 % over all looks. A stopped candidate is credited with the
    rival's score plus the difference seen so far.
    """

    def __init__(
        self,
        images: Images,
        *,
        limit: int | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        original: fx.GraphModule | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:limit]
        self.dtype = dtype
        self._images = Images(images.pixels[order], images.labels[order], images.mean, images.std)
        self._labels = images.labels[order]
        self._batch = _BATCH
        self._deployment = deployment
        self._looks = sorted({max(1, len(order) // part) for part in (8, 4, 2)})
        self._original = self._outputs(original) if original is not None else None

    def __len__(self) -> int:
        return len(self._labels)

    @torch.no_grad()
    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Accuracy of a network as it is (fp32) or folded and in bf16, as the scorer was told. Raises as `require_classes`."""
        assert isinstance(network, fx.GraphModule)
        run = self._runner(network)
        outputs = torch.empty(0)
        for look in [*self._looks, len(self)]:
            parts = [
                logits(run(start, min(start + self._batch, look)))
                for start in range(len(outputs), look, self._batch)
            ]
            outputs = torch.cat([outputs, *parts]) if len(outputs) else torch.cat(parts)
            require_classes(outputs.shape[1:], self._labels)
            score = self._score(outputs)
            if look < len(self) and rival is not None and self._hopeless(score, rival):
                return _estimate(score, rival)
        return score

    def _score(self, outputs: Tensor) -> Score:
        """Of the first images, whose outputs are given; outputs that are not numbers are wrong."""
        count = len(outputs)
        correct = (outputs.argmax(-1) == self._labels[:count]) & outputs.isfinite().all(-1)
        far = None if self._original is None else divergences(outputs, self._original[:count])
        mean = None if far is None else float(far.mean())
        return Score(
            float(correct.float().mean()), count, correct=correct, divergence=mean, divergences=far
        )

    @torch.no_grad()
    def _outputs(self, network: fx.GraphModule) -> Tensor:
        run = self._runner(network)
        outputs = torch.cat(
            [logits(run(start, start + self._batch)) for start in range(0, len(self), self._batch)]
        )
        require_classes(outputs.shape[1:], self._labels)
        return outputs

    def _runner(self, network: fx.GraphModule) -> Callable[[int, int], Tensor]:
        """Outputs for images from … to; where no target runs them, rounding is simulated in fp32 as the target will do it."""
        if is_quantized(network):
            forward = network if self._deployment is None else self._deployment.forward(network)
            return lambda start, stop: forward(self._exact[start:stop])
        if self.dtype is None:
            self.dtype = self._fastest_dtype(network)
        ready = fold(network, self.dtype)
        return lambda start, stop: ready(self._pixels[start:stop])

    def _fastest_dtype(self, network: fx.GraphModule) -> torch.dtype:
        """What the first network computes in fastest, and so all that are scored."""
        some = self._images
        few = Images(some.pixels[:2], some.labels[:2], some.mean, some.std)
        return fastest_dtype(network, (few.normalized(),))

    @cached_property
    def _pixels(self) -> Tensor:
        """The images in the form that networks are scored in."""
        return channels_last(self._images.normalized().to(self.dtype))

    @cached_property
    def _exact(self) -> Tensor:
        """The images in fp32."""
        return self._images.normalized()

    def _hopeless(self, score: Score, rival: Score) -> bool:
        mine, theirs = score.losses, rival.losses
        if mine is None or theirs is None or len(theirs) != len(self):
            return False
        return probability_of_no_worse(mine, theirs[: len(mine)]) < _FALSE_STOP / len(self._looks)


def probability_of_no_worse(mine: Tensor, theirs: Tensor) -> float:
    """How likely losses like ``mine`` are if they are no larger than ``theirs`` in truth, image by image.

    Right or wrong: the exact sign test on the images where they differ. Numbers: Student's paired test.
    """
    if mine.dtype == torch.bool:
        losses, wins = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
        return float(binom.cdf(wins, wins + losses, 0.5)) if losses > wins else 1.0
    difference = (mine - theirs).double().numpy()
    return (
        float(ttest_1samp(difference, 0.0, alternative="greater").pvalue)
        if difference.any()
        else 1.0
    )


def _estimate(score: Score, rival: Score) -> Score:
    """The rival's score plus the difference on the images seen."""
    seen = score.images
    assert score.correct is not None
    assert rival.correct is not None
    behind = float(score.correct.float().mean() - rival.correct[:seen].float().mean())
    far = None
    if (
        score.divergences is not None
        and rival.divergences is not None
        and rival.divergence is not None
    ):
        far = max(
            0.0, rival.divergence + float((score.divergences - rival.divergences[:seen]).mean())
        )
    return Score(max(0.0, rival.accuracy + behind), seen, stopped=True, divergence=far)


def divergences(candidate: Tensor, original: Tensor) -> Tensor:
    """KL(p_candidate ‖ p_original) of the class distributions of outputs (images, classes), in nats (images,), 100 at most."""
    mine, theirs = candidate.float().log_softmax(-1), original.float().log_softmax(-1)
    return (mine.exp() * (mine - theirs)).sum(-1).nan_to_num(_NO_ANSWER).clamp_max(_NO_ANSWER)


def divergence(candidate: Tensor, original: Tensor) -> float:
    """Mean of the `divergences` (Galen, Ω)."""
    return float(divergences(candidate, original).mean())


class CallableScorer:
    """Any measure of quality, larger is better, of a network in fp32."""

    def __init__(self, evaluate: Callable[[nn.Module], float]) -> None:
        self._evaluate = evaluate

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """What the callable says of a copy. Raises `UsageError` unless that is a number in [0, 1]."""
        said = self._evaluate(copy.deepcopy(network).eval())
        try:
            value = float(said)
        except (TypeError, ValueError):
            value = math.nan
        if not 0 <= value <= 1:
            raise UsageError(
                f"evaluate(model) returned {said!r}; it must return a number from 0 to 1, larger is better"
            )
        return Score(value, 0)
