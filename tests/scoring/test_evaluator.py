from dataclasses import replace

import torch

import topologies
from sartor.compression import CompressOptions, Compressor
from sartor.graph import trace
from sartor.policy import Policy
from sartor.scoring import Evaluator, Score


class Counting:
    def __init__(self):
        self.calls = 0

    def score(self, network, rival=None):
        self.calls += 1
        return Score(0.5, 10)


def evaluator(scorer):
    network = trace(topologies.Residual(), torch.zeros(1, 3, 16, 16))
    return Evaluator(Compressor(network, None, CompressOptions()), scorer)


def test_policies_seen_before_are_answered_from_the_record():
    scorer = Counting()
    subject = evaluator(scorer)
    first, again = subject.evaluate(Policy({"a.0": 0.5})), subject.evaluate(Policy({"a.0": 0.5}))
    assert again == replace(first, seconds_build=0.0, seconds_score=0.0)
    assert scorer.calls == 1
    assert first.cost.macs < subject.compressor.cost_model.original.macs
