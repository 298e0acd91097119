import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import topologies
from sartor.compression import CompressOptions, Compressor, fold
from sartor.data import Images
from sartor.errors import DataError, UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.scoring import CallableScorer, ImageScorer, Score, probability_of_no_worse
from sartor.tasks import divergence


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
    assert score.images == 250
    assert score.accuracy == pytest.approx(0.6, abs=0.1)


def test_a_candidate_as_good_as_the_best_is_hardly_ever_stopped():
    stopped = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        mine, theirs = (torch.rand(800, generator=generator) < 0.8 for _ in range(2))
        scorer = ImageScorer(echo(mine))
        stopped += scorer.score(ECHO, rival_of(scorer, theirs)).stopped
    assert binomtest(stopped, 150, 0.05, alternative="greater").pvalue > 1e-3


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
    assert (stopped.stopped, stopped.images) == (True, 250)
    assert stopped.divergence == pytest.approx(whole.divergence, rel=0.1)
    assert not scorer.score(close, best).stopped
    assert best.divergence < whole.divergence


def test_no_more_images_are_used_than_asked_for_in_an_order_of_the_seed():
    answers = torch.arange(100) < 50
    few = ImageScorer(echo(answers), limit=10, seed=3)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))[:10]
    assert len(few) == 10
    assert few.score(ECHO).correct.tolist() == answers[order].tolist()
    assert len(ImageScorer(echo(answers), limit=1000)) == 100


class Recording:
    """Counts the images of each forward pass."""

    def __init__(self):
        self.batches = []

    def __call__(self, start, stop):
        self.batches.append((start, stop))
        return torch.zeros(stop - start, 2)


@pytest.mark.parametrize(
    ("count", "looks"),
    [(800, [50, 100, 200, 400]), (9, [1, 2, 4]), (3, [1]), (2, [1]), (1, [])],
)
def test_looks_are_at_a_sixteenth_and_twice_as_much_each_time_up_to_half(count, looks):
    assert ImageScorer(echo(torch.ones(count, dtype=torch.bool)))._looks == looks


def test_images_are_run_once_each_in_batches_that_end_at_the_looks(monkeypatch):
    scorer = ImageScorer(echo(torch.ones(1800, dtype=torch.bool)))
    run = Recording()
    monkeypatch.setattr(scorer, "_runner", lambda network: run)
    scorer.score(ECHO)
    starts = [start for start, _ in run.batches]
    stops = [stop for _, stop in run.batches]
    assert starts == [0, *stops[:-1]]
    assert stops[-1] == 1800
    assert {225, 450, 900} <= set(stops)
    assert max(stop - start for start, stop in run.batches) == 100


def test_a_rival_that_was_scored_on_other_images_stops_nobody():
    scorer = ImageScorer(echo(torch.zeros(800, dtype=torch.bool)))
    rival = Score(1.0, 900, correct=torch.ones(900, dtype=torch.bool))
    assert not scorer.score(ECHO, rival).stopped


def test_outputs_that_are_not_numbers_are_wrong_and_far():
    class Broken(nn.Module):
        def forward(self, x):
            return x[:, 0, 0, :]

    pixels = torch.tensor([[0.0, 1.0], [float("inf"), 2.0], [0.0, 3.0]]).view(3, 1, 1, 2)
    labels = torch.ones(3, dtype=torch.int64)
    broken = torch.fx.symbolic_trace(Broken())
    images = Images(torch.zeros(3, 1, 1, 2), labels)
    scorer = ImageScorer(images, original=broken)
    images.pixels.copy_(pixels)  # images may not be infinite, what layers make of them may be
    score = scorer.score(broken)
    in_order = score.correct[scorer._order.argsort()]
    assert in_order.tolist() == [True, False, True]
    divergences = score.divergences[scorer._order.argsort()]
    assert divergences.tolist() == [0.0, 100.0, 0.0]
    assert score.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize("answer", [None, "good", 1.0001, -0.0001])
def test_measures_that_are_no_accuracy_are_refused(answer):
    with pytest.raises(UsageError, match=r"must return a number from 0 to 1, larger is better"):
        CallableScorer(lambda model: answer).score(nn.Identity())


@pytest.mark.parametrize("answer", [0, 1, True, torch.tensor(0.5)])
def test_measures_from_0_to_1_are_taken(answer):
    score = CallableScorer(lambda model: answer).score(nn.Identity())
    assert (score.accuracy, score.images, score.stopped) == (float(answer), 0, False)


def test_a_measure_gets_a_copy_in_evaluation_mode():
    network = nn.Linear(2, 2).train()

    def spoil(model):
        assert not model.training
        with torch.no_grad():
            model.weight.zero_()
        return 0.5

    CallableScorer(spoil).score(network)
    assert network.weight.any()
    assert network.training
