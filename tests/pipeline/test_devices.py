"""A whole search on another device: what it delivers is on the CPU, and is what the CPU finds."""

import dataclasses

import pytest
import torch

from sartor.compression import CompressOptions, Compressor, device_of, network_on
from sartor.data import Data, Images
from sartor.errors import UsageError
from sartor.graph import differ
from sartor.machine import CPU
from sartor.models import build
from sartor.pipeline import Pipeline, SearchOptions


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (120, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(120) % 10, mean=(0.5,) * 3, std=(0.25,) * 3)


def prepared(images, **options):
    torch.manual_seed(0)
    data = Data(images.slice(0, 40), images.slice(40), images.slice(80))
    asked = SearchOptions(
        agent="random",
        episodes=3,
        seed_with=("uniform", "greedy"),
        finalists=1,
        anyway=True,
        timed=False,
        device="cpu",
        compress=CompressOptions(images=40, final_images=40),
        **options,
    )
    return Pipeline.prepare(build("resnet8"), data, options=asked)


def moved(pipeline, device):
    """The same search elsewhere; the simulated device has no name that options could have."""
    here = pipeline.compressor
    there = Compressor(
        network_on(here.network, device),
        here.images.to(device),
        here.options,
        here.seed,
        scheme=here.scheme,
    )
    return dataclasses.replace(pipeline, compressor=there)


@pytest.mark.parametrize(
    ("agent", "reward"), [("random", "fidelity"), ("galen", "accuracy")], ids=["fidelity", "galen"]
)
def test_a_search_finds_what_it_finds_on_the_cpu(images, gpu, agent, reward):
    pipeline = prepared(images, reward=reward)
    options = dataclasses.replace(pipeline.options, agent=agent)
    pipeline = dataclasses.replace(pipeline, options=options, agent=agent)
    expected = pipeline.run()
    found = moved(pipeline, gpu).run()

    pairs = zip(found.episodes, expected.episodes, strict=True)
    for mine, theirs in pairs:
        assert mine.executed == pytest.approx(theirs.executed)
        assert mine.reward == pytest.approx(theirs.reward, abs=0.05)

    assert device_of(found.model) == CPU
    assert found.report.device.startswith(str(gpu))
    assert expected.report.device == "cpu"
    x = images.normalized()
    with torch.no_grad():
        assert not differ(found.model(x), expected.model(x), 1e-3)


def test_a_search_may_go_on_elsewhere(images):
    assert "device" not in prepared(images).settings()


def test_a_device_that_is_not_there_is_refused_before_tracing(images, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data = Data(images, images)
    with pytest.raises(UsageError, match=r"^device 'cuda:7': this machine has "):
        # Not even a network.
        Pipeline.prepare(None, data, options=SearchOptions(device="cuda:7"))


def test_what_is_no_device_is_refused_at_once():
    with pytest.raises(UsageError, match="device is 'tpu'"):
        SearchOptions(device="tpu")
