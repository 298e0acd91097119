"""A small search to report on."""

import pytest

import sartor
from sartor.compression import CompressOptions
from sartor.runs import RunConfig
from sartor.testing import FakeTarget


@pytest.fixture(scope="module")
def search(model, data):
    """Eight episodes on digits, pruned and quantized for a target that takes no time."""
    options = sartor.SearchOptions(
        episodes=8,
        finalists=2,
        methods=("prune", "quantize"),
        agent="galen",
        baselines=("uniform",),
        compress=CompressOptions(images=16, final_images=32),
    )

    def into(folder, **more):
        RunConfig(
            model="sartor.demo:DigitsNet",
            data="digits",
            budget="latency<=50%",
            out=folder,
            options=options,
        ).save(folder)
        sartor.compress(
            model,
            data,
            budget="latency<=50%",
            options=options,
            target=FakeTarget(),
            out=folder,
            **more,
        )
        return folder

    return into


@pytest.fixture(scope="module")
def run(search, tmp_path_factory):
    return search(tmp_path_factory.mktemp("runs") / "a <b>")
