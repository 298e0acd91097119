"""Scoring on another device gives the score of the CPU, in batches that fit its memory."""

import pytest
import torch
from torch import fx, nn

from sartor.data import Images
from sartor.graph import trace
from sartor.machine import CPU
from sartor.scoring import CallableScorer, ImageScorer, Inputs
from sartor.tasks import CLASSIFICATION


@pytest.fixture
def images():
    pixels = torch.randint(0, 256, (1100, 3, 4, 4), dtype=torch.uint8)
    return Images(pixels, torch.arange(1100) % 5, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


@pytest.fixture
def networks(images):
    """An original and a rival."""
    example = images.normalized()[:1]
    made = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5))] * 2
    return [trace(model.apply(_redraw), example).module for model in made]


def _redraw(module):
    if isinstance(module, nn.Linear | nn.Conv2d):
        module.reset_parameters()


def test_scores_are_those_of_the_cpu(images, networks, gpu):
    original, candidate = networks
    here = ImageScorer(images, original=original, limit=1050)
    there = ImageScorer(images, original=original, limit=1050, device=gpu)
    expected = here.score(candidate)
    found = there.score(candidate)

    assert found.accuracy == pytest.approx(expected.accuracy, abs=0.002)
    assert found.divergence == pytest.approx(expected.divergence, rel=1e-3)
    # What races are run with.
    assert {found.correct.device, found.divergences.device} == {CPU}
    raced = there.score(original, rival=found)
    assert raced.accuracy == pytest.approx(here.score(original, rival=expected).accuracy, abs=0.01)


def test_inputs_are_normalised_there(images, gpu):
    order = torch.randperm(1100)
    here = Inputs(images, order)
    there = Inputs(images, order, device=gpu)
    found = there.batch(100, 900)
    assert found.device == gpu
    torch.testing.assert_close(found.cpu(), here.batch(100, 900))


def test_inputs_that_do_not_fit_come_batch_by_batch(images, gpu, monkeypatch):
    monkeypatch.setattr("sartor.scoring._inputs.room_for_inputs", lambda device: 1000)
    order = torch.arange(1100).flip(0)
    found = Inputs(images, order, device=gpu).batch(3, 5)
    torch.testing.assert_close(found.cpu(), images.normalized()[order[3:5]])


def test_meters_read_arrays(images, networks, gpu):
    class Metered(type(CLASSIFICATION)):
        def hits(self, outputs, labels):
            return None

        def meter(self):
            return _Share()

    expected = ImageScorer(images, task=Metered()).score(networks[0])
    found = ImageScorer(images, task=Metered(), device=gpu).score(networks[0])
    assert found.accuracy == pytest.approx(expected.accuracy, abs=0.002)


class _Share:
    """Of right answers, by NumPy."""

    def __init__(self):
        self.right = []

    def update(self, outputs, labels):
        answered = outputs[0].numpy().argmax(1)
        self.right += (answered == labels.numpy()).tolist()

    def compute(self):
        return sum(self.right) / len(self.right)


def test_batches_are_halved_until_they_fit(images):
    graph = fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(_fits_thirty, (x,)))
    network = fx.GraphModule(nn.Module(), graph)
    scorer = ImageScorer(images)
    assert scorer.score(network).images == 1100


def _fits_thirty(x):
    if len(x) > 30:
        raise torch.OutOfMemoryError("30 at most")
    return x.flatten(1)[:, :5]


def test_one_image_that_does_not_fit_is_an_error(images):
    graph = fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(_fits_nothing, (x,)))
    with pytest.raises(torch.OutOfMemoryError):
        ImageScorer(images).score(fx.GraphModule(nn.Module(), graph))


def _fits_nothing(x):
    raise torch.OutOfMemoryError("none")


def test_measures_of_the_users_own_get_networks_on_the_cpu(networks, gpu):
    from sartor.compression import device_of, on_device

    seen = []

    def evaluate(network):
        seen.append(device_of(network))
        return 0.5

    network = on_device(networks[0], gpu)
    assert CallableScorer(evaluate).score(network).accuracy == 0.5
    assert seen == [CPU]
    assert device_of(network) == gpu
