"""Candidates are run from where they first differ from earlier ones."""

import dataclasses

import pytest
import torch
from torch import nn

import topologies
from sartor.compression import CompressOptions, Compressor
from sartor.data import Images
from sartor.graph import Walk, trace
from sartor.policy import Policy
from sartor.scoring import ImageScorer, _images
from sartor.scoring._prefixes import Prefixes

IMAGES = Images(torch.randn(250, 3, 16, 16), torch.zeros(250, dtype=torch.int64))


class Narrowing(nn.Module):
    """Two halvings of the image, a residual block between them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.c, self.d = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.e, self.head = nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x))))
        x = self.d(torch.relu(self.c(x)) + x)
        return self.head(torch.relu(self.e(torch.relu(x))).mean((2, 3)))


def candidates(network):
    """Those that differ in the first layer, in the last, and in all."""
    compressor = Compressor(network, None, CompressOptions())
    names = [group.name for group in network.groups]
    ratios = [{names[-1]: 0.5}, {names[-1]: 0.25}, {names[0]: 0.5}, dict.fromkeys(names, 0.5)]
    return [compressor.candidate(Policy(channels)) for channels in ratios]


def traced(kind):
    if kind is Narrowing:
        return trace(Narrowing(), torch.zeros(2, 3, 16, 16))
    return trace(topologies.randomized(kind()), topologies.example_inputs(kind))


@pytest.mark.parametrize("room", [10_000, 400_000, 2**26])
@pytest.mark.parametrize("kind", [Narrowing, topologies.Residual, topologies.ZeroPadShortcut])
def test_scores_are_the_same_whatever_was_scored_before(kind, room, monkeypatch):
    monkeypatch.setattr(_images, "_KEPT_INSIDE", room)
    network = traced(kind)
    networks = candidates(network)
    keeping = ImageScorer(IMAGES, original=network.module, many=True)
    for candidate in [*networks, *networks[::-1]]:
        alone = ImageScorer(IMAGES, original=network.module).score(candidate)
        found = keeping.score(candidate)
        assert torch.equal(found.divergences, alone.divergences)
        assert torch.equal(found.correct, alone.correct)
        better = dataclasses.replace(alone, divergences=torch.zeros(250))
        assert keeping.score(candidate, better).stopped


def test_scores_are_the_same_after_a_release():
    network = traced(Narrowing)
    scorer = ImageScorer(IMAGES, original=network.module, many=True)
    candidate, *_ = candidates(network)
    before = scorer.score(candidate)
    scorer.release()
    assert torch.equal(scorer.score(candidate).divergences, before.divergences)


def test_only_what_lies_behind_the_first_change_runs_again(monkeypatch):
    ran = []
    call = Walk.call

    def counted(walk, node, args, kwargs):
        ran.append(node.name)
        return call(walk, node, args, kwargs)

    monkeypatch.setattr(Walk, "call", counted)
    first, second, *_ = candidates(traced(Narrowing))
    scorer = ImageScorer(IMAGES, many=True)
    scorer.score(first)
    assert {"a", "b", "c", "d", "e", "head"} <= set(ran)
    ran.clear()
    scorer.score(second)
    assert set(ran) & {"a", "b", "c", "d", "e", "head"} == {"e", "head"}


def test_what_is_kept_takes_no_more_than_its_room():
    room = 200_000
    prefixes = Prefixes(len(IMAGES), room)
    for candidate in candidates(traced(Narrowing)):
        run = prefixes.runner(candidate, lambda start, stop: IMAGES.batch(slice(start, stop)))
        for start in range(0, 250, 50):
            run(start, start + 50)
        kept = [value for values in prefixes._kept.values() for value in values.values()]
        assert 0 < sum(value.nbytes for value in kept) == prefixes._taken <= room
