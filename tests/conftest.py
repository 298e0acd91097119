import os
import sys
from pathlib import Path

import pytest
import torch

import sartor
from sartor import demo

sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder with real data and trained networks; its absence is a failure in CI."""
    if not SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED} is missing")
        pytest.skip(f"{SHARED} (CIFAR-10 and trained networks) is not here")
    return SHARED


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def data():
    return sartor.data.load("digits", calibration=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a small network, trained for a moment."""
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    demo.train(path, epochs=4)
    return path


@pytest.fixture(scope="module")
def model(weights):
    network = demo.DigitsNet()
    sartor.models.load_weights(network, weights)
    return network
