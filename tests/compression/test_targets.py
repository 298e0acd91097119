"""What refitted layers should give, kept or computed when it is asked for."""

import pytest
import torch

import topologies
from sartor.compression.refitting import Calibration, _memory, _targets
from sartor.compression.refitting._targets import ComputedTargets, RecordedTargets, targets_of
from sartor.graph import trace


@pytest.mark.parametrize("kind", [topologies.Residual, topologies.Depthwise])
@pytest.mark.parametrize("room", [1, 2**26], ids=["parts", "at once"])
def test_both_ways_give_the_same(kind, room, monkeypatch):
    monkeypatch.setattr(_memory, "_ROOM", room)
    model = topologies.randomized(kind())
    network = trace(model, topologies.example_inputs(kind))
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    calibration = Calibration.sample(network, images, 5, torch.Generator().manual_seed(0))
    assert len(calibration.parts) == (6 if room == 1 else 1)
    if kind is topologies.Residual:
        assert calibration.joins

    with torch.no_grad():
        recorded = RecordedTargets.record(calibration)
        computed = ComputedTargets(calibration)
        layers = list(calibration.places)
        for number, layer in enumerate(layers):
            later = layers[number + 1 :]
            pairs = zip(recorded.of(layer, later), computed.of(layer, later), strict=True)
            for given, same in pairs:
                assert len(given) == len(same) == (2 if layer in calibration.joins else 1)
                for item, other in zip(given, same, strict=True):
                    assert torch.allclose(item, other, rtol=2**-8)


def test_a_stretched_summand_is_no_shortcut():
    class Stretched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = torch.nn.Conv2d(3, 4, 3, padding=1)
            self.pool = torch.nn.AdaptiveAvgPool2d(1)
            self.narrow = torch.nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.wide(x) + self.narrow(self.pool(x))

    network = trace(Stretched(), torch.zeros(1, 3, 8, 8))
    images = torch.randn(4, 3, 8, 8)
    calibration = Calibration.sample(network, images, 5, torch.Generator().manual_seed(0))
    assert calibration.joins == {}


def test_layers_that_read_much_are_sampled_at_more_places():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 40, 3), torch.nn.Conv2d(40, 4, 3))
    network = trace(model, torch.zeros(1, 3, 32, 32))
    images = torch.randn(20, 3, 32, 32)
    calibration = Calibration.sample(network, images, 16, torch.Generator().manual_seed(0))
    places = {name: len(found) for name, found in calibration.places.items()}
    # The second reads 360 inputs; 126 places of 20 images are seven samples for each of them.
    assert places == {"0": 16, "1": 126}


def test_what_does_not_fit_is_computed(monkeypatch):
    network = trace(topologies.randomized(topologies.Residual()), torch.zeros(1, 3, 16, 16))
    images = torch.randn(4, 3, 16, 16)
    calibration = Calibration.sample(network, images, 5, torch.Generator().manual_seed(0))
    assert isinstance(targets_of(calibration), RecordedTargets)
    monkeypatch.setattr(_targets, "_ROOM", RecordedTargets.size(calibration) - 1)
    assert isinstance(targets_of(calibration), ComputedTargets)
