from types import SimpleNamespace

import pytest
import torch

import topologies
from sartor.compression import CompressOptions, Compressor
from sartor.graph import trace
from sartor.policy import Policy
from sartor.scoring import Evaluator, Outcome, Score

WHOLE, HALF, QUARTER = Policy(), Policy({"a.0": 0.5}), Policy({"a.0": 0.25})


@pytest.fixture(scope="module")
def compressor():
    network = trace(topologies.Residual(), torch.zeros(1, 3, 16, 16))
    return Compressor(network, None, CompressOptions())


def width(network):
    """Channels of the layer that the policies here prune."""
    return network.get_submodule("a.0").out_channels


class Scripted:
    """Gives the scores it was made with in turn, and records the rivals it was shown."""

    def __init__(self, *scores):
        self.scores = list(scores)
        self.rivals = []
        self.widths = []

    def score(self, network, rival=None):
        self.widths.append(width(network))
        self.rivals.append(rival)
        return self.scores.pop(0)


class Clock:
    """A deployment that measures what it was made with and counts what it was asked."""

    times = True

    def __init__(self, *latencies, settled=True):
        self.latencies = list(latencies)
        self.settled = settled
        self.widths = []

    def measure(self, candidate):
        self.widths.append(width(candidate))
        relative = self.latencies.pop(0)
        own = SimpleNamespace(median_s=relative / 100)
        return SimpleNamespace(candidate=own, relative=relative, settled=self.settled)


def right(accuracy, **options):
    return Score(accuracy, 10, **options)


def test_an_outcome_is_what_was_scored_and_what_it_costs(compressor):
    score = Score(0.75, 12, divergence=0.5)
    scorer = Scripted(score)
    outcome = Evaluator(compressor, scorer).evaluate(HALF)
    assert scorer.widths == [width(compressor.candidate(HALF))]
    assert (outcome.accuracy, outcome.images, outcome.stopped) == (0.75, 12, False)
    assert outcome.divergence == 0.5
    assert outcome.cost == compressor.cost_model.cost(HALF)
    assert 0 < outcome.seconds_build < 60
    assert 0 < outcome.seconds_score < 60
    assert (outcome.latency_s, outcome.relative_latency, outcome.seconds_latency) == (None, None, 0)
    assert outcome.latency_settled


def test_quality_is_closeness_where_it_was_measured_else_accuracy(compressor):
    cost = compressor.cost_model.original
    assert Outcome(0.75, 12, False, cost).quality == 0.75
    assert Outcome(0.75, 12, False, cost, divergence=0.5).quality == -0.5


def test_policies_seen_before_are_answered_from_the_record_and_take_no_time(compressor):
    scorer = Scripted(right(0.5))
    subject = Evaluator(compressor, scorer, deployment=Clock(0.5))
    assert not subject.knows(HALF)
    first = subject.evaluate(HALF)
    assert subject.knows(HALF)
    assert not subject.knows(WHOLE)
    again = subject.evaluate(Policy({"a.0": 0.5}))
    assert again.seconds_build == again.seconds_score == again.seconds_latency == 0
    assert (again.accuracy, again.relative_latency) == (first.accuracy, 0.5)
    assert first.seconds_latency > 0
    assert len(scorer.rivals) == 1


def test_every_candidate_races_against_the_best_so_far(compressor):
    good, bad, better = right(0.8), right(0.5), right(0.9)
    scorer = Scripted(good, bad, better, right(0.1))
    subject = Evaluator(compressor, scorer)
    for ratio in (1.0, 0.75, 0.5, 0.25):
        subject.evaluate(Policy({"a.0": ratio}))
    assert scorer.rivals == [None, good, good, better]


def test_closeness_counts_before_accuracy(compressor):
    close, accurate = right(0.5, divergence=0.1), right(0.9, divergence=0.2)
    scorer = Scripted(accurate, close, right(0.1, divergence=9.0))
    subject = Evaluator(compressor, scorer)
    for policy in (WHOLE, HALF, QUARTER):
        subject.evaluate(policy)
    assert scorer.rivals == [None, accurate, close]


def test_the_first_of_two_that_are_equally_good_stays_the_rival(compressor):
    first, second = right(0.5), right(0.5)
    scorer = Scripted(first, second, right(0.1))
    subject = Evaluator(compressor, scorer)
    for policy in (WHOLE, HALF, QUARTER):
        subject.evaluate(policy)
    assert scorer.rivals[2] is first


def test_without_a_race_nobody_is_a_rival(compressor):
    scorer = Scripted(right(0.8), right(0.5))
    subject = Evaluator(compressor, scorer, race=False)
    subject.evaluate(WHOLE)
    subject.evaluate(HALF)
    assert scorer.rivals == [None, None]


def test_candidates_that_were_stopped_are_no_rivals(compressor):
    good, stopped = right(0.8), right(0.95, stopped=True)
    scorer = Scripted(good, stopped, right(0.1))
    subject = Evaluator(compressor, scorer)
    for policy in (WHOLE, HALF, QUARTER):
        subject.evaluate(policy)
    assert scorer.rivals[2] is good


@pytest.mark.parametrize(("latency", "is_rival"), [(0.29, True), (0.3, True), (0.31, False)])
def test_only_candidates_under_the_ceiling_are_rivals(compressor, latency, is_rival):
    good, better = right(0.8), right(0.9)
    scorer = Scripted(good, better, right(0.1))
    subject = Evaluator(compressor, scorer, deployment=Clock(0.2, latency, 0.1), ceiling=0.3)
    for policy in (WHOLE, HALF, QUARTER):
        subject.evaluate(policy)
    assert scorer.rivals[2] is (better if is_rival else good)


def test_candidates_of_unknown_latency_are_not_under_a_ceiling(compressor):
    scorer = Scripted(right(0.8), right(0.5))
    subject = Evaluator(compressor, scorer, ceiling=0.3)
    subject.evaluate(WHOLE)
    subject.evaluate(HALF)
    assert scorer.rivals == [None, None]


@pytest.mark.parametrize("settled", [True, False])
def test_what_is_scored_in_full_is_measured(compressor, settled):
    deployment = Clock(0.4, settled=settled)
    subject = Evaluator(compressor, Scripted(right(0.8)), deployment=deployment)
    outcome = subject.evaluate(HALF)
    assert (outcome.latency_s, outcome.relative_latency) == (0.004, 0.4)
    assert outcome.latency_settled == settled
    assert 0 < outcome.seconds_latency < 60
    assert deployment.widths == [width(compressor.candidate(HALF))]
    assert subject.evaluate(HALF).latency_settled == settled


def test_what_was_stopped_is_not_measured(compressor):
    deployment = Clock(0.4)
    subject = Evaluator(compressor, Scripted(right(0.8, stopped=True)), deployment=deployment)
    outcome = subject.evaluate(HALF)
    assert outcome.stopped
    assert outcome.relative_latency is None
    assert deployment.latencies == [0.4]


def remembered(compressor, accuracy, **options):
    return Outcome(accuracy, 10, False, compressor.cost_model.original, 1.0, 2.0, **options)


def test_an_outcome_that_was_taken_over_is_not_scored_again(compressor):
    scorer = Scripted()
    subject = Evaluator(compressor, scorer)
    subject.remember(HALF, remembered(compressor, 0.8))
    assert subject.knows(HALF)
    assert subject.evaluate(HALF).accuracy == 0.8
    assert scorer.rivals == []


def test_the_best_that_was_taken_over_is_scored_once_as_a_rival(compressor):
    rival = right(0.85)
    scorer = Scripted(rival, right(0.1), right(0.2))
    subject = Evaluator(compressor, scorer)
    subject.remember(HALF, remembered(compressor, 0.8))
    subject.remember(QUARTER, remembered(compressor, 0.7))
    subject.evaluate(WHOLE)
    subject.evaluate(Policy({"a.0": 0.75}))
    assert scorer.rivals == [None, rival, rival]
    assert scorer.widths[0] == width(compressor.candidate(HALF))


def test_a_better_one_that_was_taken_over_replaces_the_rival(compressor):
    own, taken = right(0.8), right(0.9)
    scorer = Scripted(own, taken, right(0.1))
    subject = Evaluator(compressor, scorer)
    subject.evaluate(WHOLE)
    subject.remember(HALF, remembered(compressor, 0.95))
    subject.evaluate(QUARTER)
    assert scorer.rivals == [None, None, taken]
