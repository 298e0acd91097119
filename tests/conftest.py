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
def missing():
    """Ends a test that needs what is not here, with the reason: skipped, but failed in CI (``CI=true``)."""
    return pytest.fail if os.environ.get("CI") == "true" else pytest.skip


@pytest.fixture(scope="session")
def shared(missing):
    """Folder with real data and trained networks."""
    for folder in (SHARED / "data/cifar10", SHARED / "models"):
        if not folder.is_dir():
            missing(f"{folder} is not here (CIFAR-10 and trained networks)")
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
