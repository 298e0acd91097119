import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import topologies
from sartor.compression import CompressOptions, Compressor
from sartor.compression.refitting._matrix import as_matrix
from sartor.graph import trace


def refit_error(x, y, kept, taps, channels, scale):
    columns = [tap * channels + channel for tap in range(taps) for channel in kept]
    x, y = x - x.mean(0), y - y.mean(0)
    residual = y - x[:, columns] @ torch.linalg.lstsq(x[:, columns], y).solution
    return float((residual.square().mean(0) * scale).sum())


def test_elimination_follows_the_exact_error_of_refitting():
    """Brute force: the error after k removals is that of least squares on what is left.

    Each removal is the best single one.
    """
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, 1, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, 3),
    )
    network = trace(model, torch.randn(1, 3, 10, 10))
    images = torch.randn(60, 3, 10, 10)
    compressor = Compressor(network, images, CompressOptions(ridge=1e-7, images=60, positions=100))
    group, refitter = network.group_by_name["0"], compressor.refitter
    errors, order = compressor.ranking.errors["0"], compressor.ranking.order["0"]
    layer = network.module.get_submodule("2")
    with torch.no_grad():
        x = refitter.calibration.windows(
            "2", layer, F.relu(network.module.get_submodule("0")(images))
        )
        y = x @ as_matrix(layer.weight).T
    scale = refitter.calibration.sensitivity["2"]
    position = {unit: index for index, unit in enumerate(group.units)}
    left = list(range(6))
    for count in range(5, 0, -1):
        exact = {
            index: refit_error(x, y, [i for i in left if i != index], 9, 6, scale) for index in left
        }
        removed = position[order[count]]
        assert np.isclose(exact[removed], min(exact.values()), rtol=1e-2)
        assert np.isclose(errors[count], exact[removed], rtol=2e-2)
        left.remove(removed)


def test_errors_fall_to_zero_as_more_is_kept():
    network = trace(topologies.randomized(topologies.Residual()), torch.randn(1, 3, 16, 16))
    for images in (torch.randn(32, 3, 16, 16), None):
        ranking = Compressor(network, images, CompressOptions()).ranking
        for errors in ranking.errors.values():
            assert errors[-1] == 0
            assert np.isinf(errors[0])
            assert all(a >= b for a, b in itertools.pairwise(errors))


def test_magnitude_order_is_that_of_the_reading_weights():
    network = trace(topologies.randomized(topologies.Residual()), torch.randn(1, 3, 16, 16))
    order = Compressor(
        network, torch.randn(32, 3, 16, 16), CompressOptions(select="magnitude")
    ).ranking.order["b.0"]
    norms = network.module.get_submodule("c.0").weight.abs().sum((0, 2, 3))
    channel = {unit: index for index, unit in enumerate(network.slot_by_name["c.0"].in_units)}
    assert [channel[unit] for unit in order] == norms.argsort(descending=True).tolist()


def test_kept_sets_are_nested():
    network = trace(topologies.randomized(topologies.Shuffle()), torch.randn(1, 3, 16, 16))
    ranking = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions()).ranking
    sets = [
        ranking.kept(network, {group.name: min(count, group.size) for group in network.groups})
        for count in range(1, 17)
    ]
    assert all((small <= large).all() for small, large in itertools.pairwise(sets))
