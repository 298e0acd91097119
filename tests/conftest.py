import os
from pathlib import Path

import pytest
import torch

import sartor
from sartor import demo
from simulated_gpu import simulated_gpu, simulated_is_asked_for

#: The variable that says where real data and trained networks are, and asks for their tests.
SHARED = "SARTOR_SHARED"


def pytest_collection_modifyitems(items):
    """What asks for the fixture `shared` bears the marker of the same name: ``-m 'not shared'``."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


@pytest.fixture(scope="session")
def shared():
    """Folder with real data and trained networks."""
    if SHARED not in os.environ:
        pytest.skip(f"needs CIFAR-10 and trained networks: name their folder in {SHARED}")
    folder = Path(os.environ[SHARED])
    for part in ("data/cifar10", "models"):
        assert (folder / part).is_dir(), f"{SHARED} is {folder}, which has no {part}"
    return folder


@pytest.fixture(params=["simulated", "cuda"])
def gpu(request):
    """A device that is not the CPU: one that is only simulated, and a real one where there is."""
    if request.param == "simulated":
        if not simulated_is_asked_for():
            pytest.skip("runs in a process of its own: tests/machine/test_simulated_gpu.py")
        with simulated_gpu() as device:
            yield device
        return

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    yield torch.device("cuda", 0)


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
