"""A small network trained for a moment, and its data."""

import pytest

import sartor
from sartor import demo


@pytest.fixture(scope="module")
def data():
    return sartor.data.load("digits", calibration=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    demo.train(path, epochs=4)
    return path


@pytest.fixture(scope="module")
def model(weights):
    network = demo.DigitsNet()
    sartor.models.load_weights(network, weights)
    return network
