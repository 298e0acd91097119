"""What a policy costs, tried on images without labels."""

import pytest
import torch
from torch import nn

from sartor.compression import CompressOptions, Compressor
from sartor.errors import RunError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.sensitivity import Probes

HALF = Policy(channels={"0": 0.5})


def compressor(pixels, seed=0, **options):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3)
    )
    return Compressor(trace(model, pixels[:1]), pixels, CompressOptions(**options))


@pytest.fixture
def images():
    return torch.randn(300, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_less_kept_is_further_from_the_original(images):
    probes = Probes(compressor(images, images=64))
    losses = [probes.divergence(Policy(channels={"0": keep})) for keep in (0.25, 0.5, 0.75, 1.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == 0


def test_what_was_refitted_from_is_not_looked_at(images):
    mine = compressor(images, images=64)
    probes = Probes(mine)
    assert len(probes._images) == 300 - 64
    assert torch.equal(probes._images, images[64:])
    few = Probes(compressor(images[:100], images=64))
    assert torch.equal(few._images, images[:100]), "36 are too few to stand for all"


def test_what_is_on_disk_is_not_measured_again(images, tmp_path, monkeypatch):
    path = tmp_path / "probes.json"
    first = Probes(compressor(images), path=path).divergence(HALF)
    monkeypatch.setattr(Compressor, "candidate", None)
    assert Probes(compressor(images), path=path).divergence(HALF) == first


def test_probes_of_another_network_are_refused(images, tmp_path):
    path = tmp_path / "probes.json"
    Probes(compressor(images), path=path).divergence(HALF)
    with pytest.raises(RunError, match="probes of another network"):
        Probes(compressor(images, seed=1), path=path).divergence(HALF)
    path.write_text('{"schema": 1, "identity": "", "divergences": []}')
    with pytest.raises(RunError, match="probes of another network"):
        Probes(compressor(images), path=path).divergence(HALF)
