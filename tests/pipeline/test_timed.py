"""What is delivered is timed, in what is installed, and said to be slower where it is."""

import dataclasses
import sys

import pytest

import sartor
from sartor.pipeline import Timed
from sartor.pipeline import _timed as module
from sartor.pipeline._timed import time_delivered
from sartor.runs import delivered_words, missed_words
from sartor.targets import Comparison, Latency, OnnxRuntimeTarget, TargetOptions
from sartor.testing import FakeTarget, example_network

OPTIONS = sartor.SearchOptions(
    agent="random", episodes=1, seed_with=(), finalists=1, baselines=(), reward_images=64
)


def searched(model, data, target=None, **changed):
    options = dataclasses.replace(OPTIONS, **changed)
    return sartor.compress(model, data, budget="macs<=60%", options=options, target=target).report


def compared(*lows):
    """Comparisons, one after the other."""
    latency = Latency(1e-3, 1e-3, 1e-3, 1)
    made = iter([Comparison(low + 0.05, low, low + 0.1, latency, latency) for low in lows])

    def compare(self, candidate, original, patience=None, gauge=None):
        return next(made)

    return compare


def test_without_a_target_it_is_timed_in_a_runtime(model, data):
    report = searched(model, data, target_batch=2)
    assert report.timed.target == "onnxruntime"
    assert report.timed.batch == 2
    assert 0 < report.timed.low <= report.timed.relative <= report.timed.high < 3
    assert "of 2 images at once" in delivered_words(report)[0]


def test_it_can_be_left_out(model, data):
    report = searched(model, data, timed=False)
    assert report.timed is None
    assert delivered_words(report) == []


def test_with_a_target_it_is_what_that_measured(model, data):
    report = searched(model, data, FakeTarget(), timed=False)
    assert report.timed.target == "fake"
    assert report.timed.relative == report.best.latency.relative < 1


@pytest.mark.parametrize(
    ("missing", "used"),
    [((), "onnxruntime"), (("onnxruntime",), "openvino"), (("onnx",), "torch")],
)
def test_the_first_runtime_that_is_there_counts(monkeypatch, missing, used):
    for package in missing:
        monkeypatch.setitem(sys.modules, package, None)
    network, _ = example_network()
    timed = time_delivered(network, network.module, TargetOptions())
    assert timed.target == used
    assert timed.relative == pytest.approx(1, abs=0.4)


def test_nothing_is_timed_where_nothing_can(monkeypatch):
    monkeypatch.setattr(module, "_RUNTIMES", ("no_such_runtime",))
    network, _ = example_network()
    assert time_delivered(network, network.module, TargetOptions()) is None


@pytest.mark.parametrize(
    ("lows", "low"), [((0.9,), 0.9), ((1.1, 0.95), 0.95), ((1.2, 1.1), 1.1), ((1.1, 1.2), 1.1)]
)
def test_what_seems_slower_is_measured_again(monkeypatch, lows, low):
    monkeypatch.setattr(OnnxRuntimeTarget, "compare", compared(*lows))
    network, _ = example_network()
    timed = time_delivered(network, network.module, TargetOptions())
    assert timed.low == low
    assert timed.slower == (low > 1)


def test_slower_than_the_original_is_a_fault_in_words(monkeypatch, model, data):
    monkeypatch.setattr(OnnxRuntimeTarget, "compare", compared(1.2, 1.3))
    report = searched(model, data)
    (fault,) = missed_words(report)
    assert fault.startswith("what was found is SLOWER than the original: 1.25 of the original's ")
    assert Timed("a", "a 1", 1, 1.0, 1.0, 1.1).slower is False


def test_multiples_come_from_the_target_or_are_8(model, data):
    assert searched(model, data, timed=False).multiple.startswith("8, but 4 in groups below 64")
    assert searched(model, data, FakeTarget()).multiple == "1"
    assert searched(model, data, timed=False, multiple=3).multiple == "3"


def test_policies_follow_the_multiples(model, data):
    coarse = searched(model, data, timed=False).policy
    fine = searched(model, data, timed=False, multiple=1).policy
    network = sartor.trace(model, data.calibration.normalized())
    sizes = {group.name: group.size for group in network.groups}
    steps = {16: 2, 32: 4}
    for name, share in coarse.channels.items():
        assert round(share * sizes[name]) % steps[sizes[name]] == 0
    assert fine != coarse
