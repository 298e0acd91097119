"""Targets and formats of another package: they keep the contracts and are used by their names."""

import pytest
import torch
from torch import fx, nn

import sartor
from outside.format import ProgramFormat
from outside.target import TorchTarget
from sartor import SearchOptions, targets
from sartor.errors import UsageError
from sartor.export import FORMATS, export, find_format, verify
from sartor.targets import TargetOptions
from sartor.testing import FakeTarget, FormatConformance, TargetConformance

TARGET = "outside.target:TorchTarget"
FORMAT = "outside.format:ProgramFormat"


class TestTorchTarget(TargetConformance):
    @pytest.fixture
    def target(self):
        return TorchTarget()


class TestProgramFormat(FormatConformance):
    @pytest.fixture
    def form(self):
        return ProgramFormat()


@pytest.fixture(params=FORMATS)
def shipped(request):
    return find_format(request.param)


class TestShippedFormats(FormatConformance):
    @pytest.fixture
    def form(self, shipped):
        return shipped


def test_a_target_is_made_by_its_name():
    made = targets.make(TARGET, TargetOptions(threads=3))
    assert isinstance(made, TorchTarget)
    assert made.threads == 3


def test_a_search_runs_on_a_target_of_another_package(model, data):
    options = SearchOptions(
        target=TARGET, methods=("quantize",), episodes=2, seed_with=(), finalists=1, baselines=()
    )
    result = sartor.compress(model, data, budget="size<=60%", options=options)
    assert result.report["target"]["target"] == "torch"
    assert result.report["budget_met"]


def test_an_artifact_of_another_packages_format_is_verified_on_its_target(model, data, tmp_path):
    test = data.test.slice(0, 64)
    network = sartor.graph.trace(model, test.normalized()[:1]).module
    path = export(network, (test.normalized()[:1],), tmp_path / "model.pt2", FORMAT)
    found = verify(path, FORMAT, network, network, test)
    assert found.runtime.startswith("torch ")
    assert found.accuracy == found.simulated
    assert found.relative_size == 1.0
    assert found.peak_memory_bytes > 0


def test_what_is_no_target_or_format_is_refused_by_name():
    with pytest.raises(UsageError, match=r"target 'math:pi' is no class derived from sartor\.targ"):
        targets.make("math:pi")
    with pytest.raises(UsageError, match=r"format 'math:pi' is no class derived from sartor\.exp"):
        find_format("math:pi")
    with pytest.raises(UsageError, match=r"target 'outside\.target:Torch' cannot be imported"):
        targets.make("outside.target:Torch")


def test_the_fake_target_takes_what_it_says(tmp_path):
    """Two layers of 4·8·9 and 8·16·9 weights on 8 × 8 pixels."""
    layers = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1))
    network = fx.symbolic_trace(layers.eval())
    images = torch.randn(1, 4, 8, 8)
    target = FakeTarget()
    seconds = target.profile(target.build(network, (images,), tmp_path / "a.json"))
    assert seconds == pytest.approx({"0": 1e-6 + 288 * 64e-9, "1": 1e-6 + 1152 * 64e-9})
