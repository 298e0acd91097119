import pytest
import torch
from torch import nn

import sartor
from outside.task import DEPTH
from sartor.errors import UsageError
from sartor.finetune import FinetuneOptions

OPTIONS = sartor.SearchOptions(episodes=3, finalists=1, baselines=(), timed=False)


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))


@pytest.fixture
def data(network):
    """Depths as the network sees them, so that it is perfect."""
    pixels = torch.rand(64, 1, 8, 8)
    with torch.no_grad():
        images = sartor.Images(pixels, network(pixels))
    return sartor.Data(images, images, images)


def test_a_task_of_ones_own_goes_all_the_way(network, data, tmp_path):
    found = sartor.compress(
        network, data, task="outside.task:DEPTH", options=OPTIONS, out=tmp_path, progress=False
    )
    assert found.report.metric == "within a tenth"
    assert found.report.original.validation == 1
    run = sartor.Run(tmp_path, model=network, data=data)
    assert run.task is DEPTH
    tuned = run.finetune(FinetuneOptions(epochs=2, batch=32))
    assert tuned.validation.after >= tuned.validation.before
    run.export("onnx")
    assert run.verify("onnx").found.metric == "within a tenth"


def test_a_task_that_was_an_object_is_asked_for(network, data, tmp_path):
    sartor.compress(network, data, task=DEPTH, options=OPTIONS, out=tmp_path, progress=False)
    with pytest.raises(UsageError, match=r"is of the task 'depth', an object of Python"):
        sartor.Run(tmp_path, model=network, data=data).finetune(FinetuneOptions(epochs=1))
    by_name = sartor.Run(tmp_path, model=network, data=data, task="outside.task:DEPTH")
    assert by_name.task is DEPTH
