"""A training leaves the process that it runs in as it found it."""

import pytest
import torch

from sartor import data as sources
from sartor import demo
from sartor.finetune import FinetuneOptions, finetune
from sartor.graph import trace

accelerate = pytest.importorskip("accelerate")
OPTIONS = FinetuneOptions(epochs=1, batch=64, precision="bf16")


@pytest.fixture
def tune():
    images = sources.load("digits", calibration=128)
    network = trace(demo.DigitsNet(), images.calibration.normalized()[:1]).module
    return lambda: finetune(network, images.calibration, images.validation, options=OPTIONS)


@pytest.fixture
def untouched():
    """accelerate as a process has it that never used it."""
    names = ("PartialState", "AcceleratorState", "GradientState")
    classes = [getattr(accelerate.state, name) for name in names]
    before = [vars(shared)["_shared_state"] for shared in classes]
    for shared in classes:
        shared._shared_state = {}
    yield classes
    for shared, state in zip(classes, before, strict=True):
        shared._shared_state = state


def test_the_host_may_use_accelerate_in_its_own_way(tune, untouched):
    mine = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    before = [dict(shared._shared_state) for shared in untouched]
    tune()
    assert [dict(shared._shared_state) for shared in untouched] == before
    assert mine.mixed_precision == "no"
    assert mine.gradient_accumulation_steps == 4


def test_a_host_without_accelerate_has_no_state_of_it_afterwards(tune, untouched):
    tune()
    assert [shared._shared_state for shared in untouched] == [{}, {}, {}]


def test_the_generator_of_the_host_goes_on_as_if_nothing_had_drawn(tune):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    tune()
    assert torch.equal(torch.rand(4), wanted)
