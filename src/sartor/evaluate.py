"""From a policy to an outcome: build the candidate, score it, stop early where it is hopeless, remember it.

Knows nothing of agents or rewards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from scipy.stats import binom
from torch import Tensor, fx, nn

from sartor.compress import Compressor, fastest_dtype, fold, is_quantized
from sartor.cost import Cost
from sartor.data import Images
from sartor.errors import UsageError
from sartor.policy import Policy
from sartor.targets import LatencyMeter

#: Images per forward pass: small enough for activations to stay in the processor's cache.
_BATCH = 100
#: Probability, over all looks together, that a candidate no worse than the best is given up.
_FALSE_STOP = 1e-3


@dataclass(frozen=True)
class Score:
    """Accuracy in [0, 1] on ``images`` images; ``correct`` says which of them were right (None for a custom measure).

    ``divergence`` from the original network, in nats per image, is None where there is nothing to compare with.
    """

    accuracy: float
    images: int
    stopped: bool = False
    correct: Tensor | None = None
    divergence: float | None = None


class Scorer(Protocol):
    """Scores networks on validation data."""

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Score a network; may stop early, with an estimate, once it is certain to be worse than ``rival``."""
        ...


class ImageScorer:
    """Top-1 accuracy on images held in memory, in the form the processor runs fastest.

    ``limit`` images are used, in an order drawn once from ``seed``. While scoring, after 1/8, 1/4 and 1/2 of them, an exact
    one-sided sign test on the images where candidate and rival differ decides whether to go on; the chance of stopping a
    candidate that is no worse stays below 0.1 % over all looks. A stopped candidate is credited with the rival's accuracy
    plus the difference seen so far. With an ``original`` network the divergence from it is measured too.
    """

    def __init__(
        self,
        images: Images,
        *,
        limit: int | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        original: fx.GraphModule | None = None,
    ) -> None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:limit]
        self.dtype = dtype or fastest_dtype()
        self._images = Images(images.pixels[order], images.labels[order], images.mean, images.std)
        pixels = self._images.normalized()
        layout = torch.channels_last if pixels.dim() == 4 else torch.contiguous_format
        self._pixels = pixels.to(self.dtype).contiguous(memory_format=layout)
        self._labels = images.labels[order]
        self._batch = _BATCH
        self._looks = sorted({max(1, len(order) // part) for part in (8, 4, 2)})
        self._original = self._outputs(original) if original is not None else None

    def __len__(self) -> int:
        return len(self._labels)

    @torch.no_grad()
    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Accuracy of a network as it is (fp32) or folded and in bf16, as the scorer was told."""
        assert isinstance(network, fx.GraphModule)
        run = self._runner(network)
        count = len(self)
        correct = torch.empty(0, dtype=torch.bool)
        outputs: list[Tensor] = []
        for look in [*self._looks, count]:
            parts = [correct]
            for start in range(len(correct), look, self._batch):
                stop = min(start + self._batch, look)
                outputs.append(run(start, stop))
                parts.append(outputs[-1].argmax(-1) == self._labels[start:stop])
            correct = torch.cat(parts)
            if look < count and rival is not None and self._hopeless(correct, rival):
                assert rival.correct is not None
                behind = float(correct.float().mean() - rival.correct[:look].float().mean())
                return Score(max(0.0, rival.accuracy + behind), look, stopped=True)
        far = None if self._original is None else divergence(torch.cat(outputs), self._original)
        return Score(float(correct.float().mean()), count, correct=correct, divergence=far)

    @torch.no_grad()
    def _outputs(self, network: fx.GraphModule) -> Tensor:
        run = self._runner(network)
        return torch.cat([run(start, start + self._batch) for start in range(0, len(self), self._batch)])

    def _runner(self, network: fx.GraphModule) -> Callable[[int, int], Tensor]:
        """Outputs for images from … to; rounding is simulated in fp32, on fp32 images, as the target will do it."""
        if is_quantized(network):
            return lambda start, stop: network(self._exact[start:stop])
        ready = fold(network, self.dtype)
        return lambda start, stop: ready(self._pixels[start:stop])

    @cached_property
    def _exact(self) -> Tensor:
        """The images in fp32."""
        return self._images.normalized()

    def _hopeless(self, correct: Tensor, rival: Score) -> bool:
        if rival.correct is None or len(rival.correct) != len(self):
            return False
        theirs = rival.correct[: len(correct)]
        wins, losses = int((correct & ~theirs).sum()), int((theirs & ~correct).sum())
        return losses > wins and float(binom.cdf(wins, wins + losses, 0.5)) < _FALSE_STOP / len(self._looks)


def divergence(candidate: Tensor, original: Tensor) -> float:
    """Mean KL(p_candidate ‖ p_original) of the class distributions of outputs (images, classes), in nats (Galen, Ω)."""
    mine, theirs = candidate.float().log_softmax(-1), original.float().log_softmax(-1)
    return float((mine.exp() * (mine - theirs)).sum(-1).mean())


class CallableScorer:
    """Any measure of quality, larger is better, of a network in fp32."""

    def __init__(self, evaluate: Callable[[nn.Module], float]) -> None:
        self._evaluate = evaluate

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """What the callable says. Raises `UsageError` unless that is a number in [0, 1]."""
        value = float(self._evaluate(network))
        if not 0 <= value <= 1:
            raise UsageError(f"evaluate(model) returned {value}; it must return a number from 0 to 1, larger is better")
        return Score(value, 0)


@dataclass(frozen=True)
class Outcome:
    """What was measured of a candidate. ``stopped``: hopeless, its accuracy is an estimate on the first ``images``.

    ``relative_latency`` is relative to the original's, measured in turns with it; None where nothing was measured.
    """

    accuracy: float
    images: int
    stopped: bool
    cost: Cost
    seconds_build: float = 0.0
    seconds_score: float = 0.0
    divergence: float | None = None
    latency_s: float | None = None
    relative_latency: float | None = None
    seconds_latency: float = 0.0


class Evaluator:
    """Scores policies; those seen before are answered from the record.

    ``race``: give up candidates that are certain to be less accurate than the best so far. Only for rewards that rise with
    accuracy alone. With a ``meter`` the latency of every candidate that was scored in full is measured.
    """

    def __init__(self, compressor: Compressor, scorer: Scorer, *, race: bool = True, meter: LatencyMeter | None = None) -> None:
        self.compressor, self.scorer, self.race, self.meter = compressor, scorer, race, meter
        self._record: dict[str, Outcome] = {}
        self._best_policy: Policy | None = None
        self._best_score: Score | None = None

    def evaluate(self, policy: Policy) -> Outcome:
        """Outcome of a policy before fine-tuning."""
        key = policy.to_json()
        if key not in self._record:
            rival = self._rival() if self.race else None
            started = time.perf_counter()
            candidate = self.compressor.candidate(policy)
            built = time.perf_counter()
            score = self.scorer.score(candidate, rival)
            scored = time.perf_counter()
            cost = self.compressor.cost_model.cost(policy)
            seconds = built - started, scored - built
            outcome = Outcome(score.accuracy, score.images, score.stopped, cost, *seconds, score.divergence)
            if self.meter is not None and not score.stopped:
                comparison = self.meter.measure(candidate)
                outcome = replace(
                    outcome,
                    latency_s=comparison.candidate.median_s,
                    relative_latency=comparison.relative,
                    seconds_latency=time.perf_counter() - scored,
                )
            self.remember(policy, outcome, score)
        return self._record[key]

    def remember(self, policy: Policy, outcome: Outcome, score: Score | None = None) -> None:
        """Take over an outcome, as when a run is resumed."""
        self._record[policy.to_json()] = outcome
        best = None if self._best_policy is None else self._record[self._best_policy.to_json()]
        if not outcome.stopped and (best is None or outcome.accuracy > best.accuracy):
            self._best_policy, self._best_score = policy, score

    def _rival(self) -> Score | None:
        """Score of the best policy so far; scored again if only its outcome was taken over."""
        if self._best_policy is not None and self._best_score is None:
            self._best_score = self.scorer.score(self.compressor.candidate(self._best_policy))
        return self._best_score
