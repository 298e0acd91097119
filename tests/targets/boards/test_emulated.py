"""Boards whose processor is emulated: outputs are right, and nothing is timed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import sartor
from sartor import targets
from sartor.errors import UsageError
from sartor.targets import Comparison
from sartor.testing import FakeTarget, TargetConformance
from verified import FOUND, LATENCY

#: Names the folder that bench/emulated.py has filled.
FOLDER = "SARTOR_EMULATED"
OPTIONS = sartor.SearchOptions(episodes=2, agent="random", finalists=1, seed_with=(), baselines=())


class Imitated(FakeTarget):
    def describe(self):
        return replace(super().describe(), device="Cortex-A72 (emulated)", emulated=True)


def test_budgets_on_latency_are_refused_where_latencies_mean_nothing(model, data):
    said = "target fake is Cortex-A72 .emulated.: its latencies mean nothing. Give a budget"
    with pytest.raises(UsageError, match=said):
        sartor.compress(model, data, budget="latency<=50%", target=Imitated(), options=OPTIONS)


def test_nothing_is_ranked_by_latencies_that_mean_nothing(model, data):
    here, there = FakeTarget(), Imitated()
    timed = sartor.compress(model, data, budget="macs<=60%", target=here, options=OPTIONS)
    found = sartor.compress(model, data, budget="macs<=60%", target=there, options=OPTIONS)
    assert timed.report.best.latency is not None
    assert found.report.best.latency is None
    assert found.report.target.device == "Cortex-A72 (emulated)"
    assert [episode.outcome.relative_latency for episode in found.episodes] == [None, None]


def test_what_is_emulated_is_not_called_slow():
    slow = replace(FOUND, latency=Comparison(3.0, 2.9, 3.1, LATENCY, LATENCY))
    assert len(slow.faults(latency=0.5)) == 2
    assert replace(slow, emulated=True).faults(latency=0.5) == []


class TestOnArm(TargetConformance):
    """The kernels of ARM, under QEMU."""

    @pytest.fixture
    def target(self, stand_in):
        if FOLDER not in os.environ:
            pytest.skip(f"fill a folder with bench/emulated.py, and name it in {FOLDER}")
        return targets.make(f"ssh:board,python={Path(os.environ[FOLDER]) / 'python'}")

    def test_it_says_that_it_is_emulated(self, target):
        described = target.describe()
        assert described.emulated
        assert described.device == "Cortex-A72 (emulated)"

    @pytest.mark.skip("nothing is timed where it means nothing")
    def test_latency_is_relative_to_the_original(self): ...
