import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import topologies
from sartor.compression import CompressOptions, Compressor, fold
from sartor.data import Data, Images
from sartor.errors import DataError, UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.scoring import (
    CallableScorer,
    ImageScorer,
    Score,
    divergence,
    probability_of_no_worse,
    require_scorable,
)


class Echo(nn.Module):
    """Says what the first pixel of an image says."""

    def forward(self, x):
        return torch.nn.functional.one_hot(x[:, 0, 0, 0].long(), 2).to(x.dtype)


def echo(answers):
    """Images whose label is 1 and of which `Echo` gets those right whose answer is True."""
    pixels = answers.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Images(pixels, torch.ones(len(answers), dtype=torch.int64))


ECHO = torch.fx.symbolic_trace(Echo())


def test_accuracy_counts_every_image_once():
    answers = torch.rand(1003) < 0.7
    score = ImageScorer(echo(answers), dtype=torch.float32).score(ECHO)
    assert score.accuracy == pytest.approx(float(answers.float().mean()))
    assert (score.images, score.stopped) == (1003, False)


def test_the_first_tensor_of_what_a_network_returns_is_scored():
    class Wrapped(nn.Module):
        def forward(self, x):
            return {"logits": (torch.nn.functional.one_hot(x[:, 0, 0, 0].long(), 2).to(x.dtype), x)}

    answers = torch.rand(103) < 0.7
    score = ImageScorer(echo(answers), original=ECHO, dtype=torch.float32).score(
        torch.fx.symbolic_trace(Wrapped())
    )
    assert score.accuracy == pytest.approx(float(answers.float().mean()))
    assert score.divergence == pytest.approx(0, abs=1e-6)


def rival_of(scorer, answers):
    order = torch.randperm(len(answers), generator=torch.Generator().manual_seed(0))
    return Score(float(answers.float().mean()), len(answers), correct=answers[order])


def test_a_hopeless_candidate_is_stopped_and_credited_with_what_was_seen():
    good, bad = torch.rand(4000) < 0.9, torch.rand(4000) < 0.6
    scorer = ImageScorer(echo(bad))
    score = scorer.score(ECHO, rival_of(scorer, good))
    assert score.stopped
    assert score.images == 500
    assert score.accuracy == pytest.approx(0.6, abs=0.06)


def test_a_candidate_as_good_as_the_best_is_hardly_ever_stopped():
    stopped = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        mine, theirs = (torch.rand(800, generator=generator) < 0.8 for _ in range(2))
        scorer = ImageScorer(echo(mine))
        stopped += scorer.score(ECHO, rival_of(scorer, theirs)).stopped
    assert binomtest(stopped, 150, 1e-3, alternative="greater").pvalue > 1e-3


def test_stopping_waits_for_evidence():
    good = torch.ones(800, dtype=torch.bool)
    slightly_worse = good.clone()
    slightly_worse[::200] = False
    scorer = ImageScorer(echo(slightly_worse))
    assert not scorer.score(ECHO, rival_of(scorer, good)).stopped


@pytest.mark.parametrize(
    "kind",
    [topologies.Residual, topologies.Depthwise, topologies.ZeroPadShortcut, topologies.DenseBlock],
)
def test_folding_keeps_the_function(kind):
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    x = torch.randn(4, 3, 16, 16)
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    with torch.no_grad():
        folded = fold(network.module)
        assert torch.allclose(folded(x), network.module(x), atol=1e-5)
        assert torch.allclose(
            fold(network.module, torch.bfloat16)(x.bfloat16()).float(), network.module(x), atol=0.1
        )
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(
        torch.equal(before[key], value) for key, value in network.module.state_dict().items()
    )


def test_any_callable_can_be_the_measure_but_must_give_an_accuracy():
    assert CallableScorer(lambda model: 0.25).score(nn.Identity()).accuracy == 0.25
    with pytest.raises(
        UsageError, match=r"evaluate\(model\) returned 93.0; it must return a number from 0 to 1"
    ):
        CallableScorer(lambda model: 93.0).score(nn.Identity())
    with pytest.raises(UsageError, match="returned nan"):
        CallableScorer(lambda model: float("nan")).score(nn.Identity())


@pytest.mark.parametrize(
    ("last", "shape"), [(torch.nn.Linear(4, 1), r"\(1,\)"), (torch.nn.Identity(), r"\(4, 3, 3\)")]
)
def test_outputs_that_are_no_scores_of_classes_are_refused(last, shape):
    layers = [
        torch.nn.Conv2d(3, 4, 3),
        *([torch.nn.AvgPool2d(3), torch.nn.Flatten()] if shape == r"\(1,\)" else []),
        last,
    ]
    network = trace(torch.nn.Sequential(*layers), torch.zeros(1, 3, 5, 5)).module
    images = Images(torch.rand(8, 3, 5, 5), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(
        UsageError,
        match=f"the network's outputs have shape {shape}; allowed are scores of at least two",
    ):
        require_scorable(network, Data(images, images))
    with pytest.raises(UsageError, match="outputs have shape"):
        ImageScorer(images).score(network)


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="the data set is empty"):
        Images(torch.zeros(0, 3, 4, 4), torch.zeros(0, dtype=torch.int64))


def test_divergence_is_the_mean_kl_of_candidate_from_original():
    candidate, original = (
        torch.randn(50, 4, dtype=torch.float64),
        torch.randn(50, 4, dtype=torch.float64),
    )
    p, q = candidate.softmax(-1), original.softmax(-1)
    expected = (
        sum(float(p[i, j] * torch.log(p[i, j] / q[i, j])) for i in range(50) for j in range(4)) / 50
    )
    assert divergence(candidate, original) == pytest.approx(expected, rel=1e-4)


def test_a_scorer_with_the_original_measures_how_far_candidates_are_from_it():
    model = topologies.randomized(topologies.Residual())
    network = trace(model, topologies.example_inputs(topologies.Residual))
    images = Images(torch.randn(64, 3, 16, 16), torch.zeros(64, dtype=torch.int64))
    scorer = ImageScorer(images, dtype=torch.float32, original=network.module)
    compressor = Compressor(network, None, CompressOptions())
    assert scorer.score(compressor.candidate(Policy())).divergence == pytest.approx(0, abs=1e-6)
    candidate = compressor.candidate(Policy({"b.0": 0.3}))
    with torch.no_grad():
        expected = divergence(candidate(images.pixels), network.module(images.pixels))
    assert scorer.score(candidate).divergence == pytest.approx(expected, rel=1e-2)
    assert expected > 0


def test_the_paired_test_of_divergences_holds_its_level_and_sees_what_is_worse():
    generator = torch.Generator().manual_seed(0)

    def heavy(count):
        return torch.randn(count, generator=generator).exp().square()

    common = [heavy(125) for _ in range(400)]
    level = sum(
        probability_of_no_worse(shared + heavy(125), shared + heavy(125)) < 1e-2
        for shared in common
    )
    assert binomtest(level, 400, 1e-2, alternative="greater").pvalue > 1e-3
    assert (
        probability_of_no_worse(common[0] + 0.5 + torch.rand(125, generator=generator), common[0])
        < 1e-6
    )
    assert probability_of_no_worse(common[0], common[0]) == 1.0


class Linear(nn.Module):
    """Logits are the first row of pixels, scaled."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x[:, 0, 0, :] * self.scale


def test_a_candidate_far_from_the_original_is_stopped_with_an_estimate_of_how_far():
    images = Images(torch.randn(4000, 1, 1, 5), torch.randint(5, (4000,)))
    original, close, far = (torch.fx.symbolic_trace(Linear(scale)) for scale in (2.0, 1.8, 0.5))
    scorer = ImageScorer(images, dtype=torch.float32, original=original)
    best, whole = scorer.score(close), scorer.score(far)
    stopped = scorer.score(far, best)
    assert (stopped.stopped, stopped.images) == (True, 500)
    assert stopped.divergence == pytest.approx(whole.divergence, rel=0.1)
    assert not scorer.score(close, best).stopped
    assert best.divergence < whole.divergence
