"""Ω is the same wherever it is computed."""

import pytest

from sartor.compression import CompressOptions, Compressor, network_on
from sartor.sensitivity import Grid, measure
from sartor.testing import example_network


def test_sensitivity_is_that_of_the_cpu(gpu):
    network, images = example_network()
    grid = Grid(keep=(0.5,), bits=(4,))

    def measured(network):
        compressor = Compressor(network, None, CompressOptions())
        return measure(compressor, images, grid=grid)

    expected = measured(network)
    found = measured(network_on(network, gpu))
    assert found.identity == expected.identity
    for parameter, rows in expected.table.items():
        for name, row in rows.items():
            mine = found.table[parameter][name]
            # In bf16 on either.
            assert mine == pytest.approx(row, rel=0.2, abs=1e-3), (parameter, name)


def test_it_goes_on_elsewhere(gpu, tmp_path):
    network, images = example_network()
    grid = Grid(keep=(0.5,), bits=(8,))
    path = tmp_path / "sensitivity.json"
    compressor = Compressor(network, None, CompressOptions())
    first = measure(compressor, images, grid=grid, path=path)

    there = Compressor(network_on(network, gpu), None, CompressOptions())
    assert measure(there, images.to(gpu), grid=grid, path=path) == first
