import json

import pytest
import torch

import topologies
from sartor import sensitivity
from sartor.compression import GALEN, CompressOptions, Compressor, fold, mask, quantize
from sartor.errors import DataError, RunError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.sensitivity import Grid, Sensitivity
from sartor.tasks import divergence

GRID = Grid(keep=(0.3, 1.0), bits=(2, 8))


@pytest.fixture
def compressor():
    network = trace(
        topologies.randomized(topologies.Residual()), topologies.example_inputs(topologies.Residual)
    )
    return Compressor(network, None, CompressOptions())


@pytest.fixture
def images():
    return 3 * torch.randn(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_it_is_the_divergence_of_the_network_with_one_thing_changed(
    compressor, images, monkeypatch
):
    monkeypatch.setattr("sartor.sensitivity._measure.fastest_dtype", lambda *_: torch.float32)
    monkeypatch.setattr("sartor.sensitivity._suffix._BATCH", 10)  # several, the last smaller
    found = sensitivity.measure(compressor, images, grid=GRID)
    network = compressor.network
    float_network = fold(network.module)
    with torch.no_grad():
        original = float_network(images)
        for group in network.groups:
            masked = mask(network, compressor.kept(Policy({group.name: 0.3})))
            expected = divergence(masked(images), original)
            assert found.table["channels"][group.name][0.3] == pytest.approx(
                expected, rel=1e-2, abs=1e-7
            )
            assert found.table["channels"][group.name][1.0] == 0
        for layer in network.layers:
            rounded = quantize(float_network, Policy(weight_bits={layer.name: 2}), (images,), GALEN)
            expected = divergence(rounded(images), original)
            assert found.table["weight_bits"][layer.name][2] == pytest.approx(
                expected, rel=1e-2, abs=1e-7
            )


def test_activations_of_a_layer_are_rounded_in_the_range_of_its_input(
    compressor, images, monkeypatch
):
    monkeypatch.setattr("sartor.sensitivity._measure.fastest_dtype", lambda *_: torch.float32)
    found = sensitivity.measure(compressor, images, grid=GRID)
    float_network = fold(compressor.network.module)
    with torch.no_grad():
        for layer in compressor.network.layers:
            coarse = quantize(
                float_network, Policy(activation_bits={layer.name: 2}), (images,), GALEN
            )
            expected = divergence(coarse(images), float_network(images))
            assert found.table["activation_bits"][layer.name][2] == pytest.approx(
                expected, rel=1e-2, abs=1e-7
            )


def test_what_is_on_disk_is_not_measured_again(compressor, images, tmp_path):
    path = tmp_path / "sensitivity.json"
    whole = sensitivity.measure(compressor, images, grid=GRID, path=path)
    content = json.loads(path.read_text())
    del content["table"]["weight_bits"]
    content["table"]["channels"]["b.0"]["0.3"] = 123.0
    path.write_text(json.dumps(content))
    resumed = sensitivity.measure(compressor, images, grid=GRID, path=path)
    assert resumed.table["channels"]["b.0"][0.3] == 123.0
    assert resumed.table["weight_bits"] == whole.table["weight_bits"]
    assert Sensitivity.read(path).table == resumed.table


def test_bad_input_is_refused(compressor, images, tmp_path):
    with pytest.raises(DataError, match="there are no images"):
        sensitivity.measure(compressor, images[:0])
    path = tmp_path / "sensitivity.json"
    Sensitivity(7).save(path)
    with pytest.raises(RunError, match="measured on 7 images, not 24"):
        sensitivity.measure(compressor, images, path=path)
    Sensitivity(len(images), "of another network").save(path)
    with pytest.raises(
        RunError, match="measured of another network, on other images or for another target"
    ):
        sensitivity.measure(compressor, images, path=path)
    path.write_text("{}")
    with pytest.raises(RunError, match="not a sensitivity of schema 2"):
        Sensitivity.read(path)


class Twice(torch.nn.Module):
    """One convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.again = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(torch.relu(self.again(torch.relu(self.again(x)))).mean((2, 3)))


def test_a_layer_that_is_called_twice_is_rounded_in_both_places():
    images = torch.randn(8, 4, 6, 6)
    network = trace(Twice().eval(), images[:1])
    compressor = Compressor(network, None, CompressOptions(), 0)
    found = sensitivity.measure(compressor, images, grid=sensitivity.Grid((1.0,), (2, 8)))
    omega = found.table["activation_bits"]["again"]
    assert omega[2] > omega[8] >= 0
