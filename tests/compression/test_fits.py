"""Fits of layers that candidates share are computed once."""

import pytest
import torch
from torch import nn

import topologies
from sartor.compression import CompressOptions, Compressor
from sartor.compression.refitting._fits import Fits
from sartor.compression.refitting._layer_solver import LayerSolver
from sartor.compression.refitting._normal_equations import NormalEquations
from sartor.graph import trace
from sartor.policy import Policy

KINDS = (topologies.Residual, topologies.Concatenation, topologies.Grouped, topologies.InPlace)
IMAGES = torch.randn(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def compressor_of(network):
    return Compressor(network, IMAGES, CompressOptions(images=24))


def traced(kind=topologies.Residual):
    model = topologies.randomized(kind())
    return trace(model, topologies.example_inputs(kind))


def solved_layers(monkeypatch):
    solved = []
    solve = LayerSolver.solve

    def counted(solver, layer, *args, **kwargs):
        solved.append(layer)
        return solve(solver, layer, *args, **kwargs)

    monkeypatch.setattr(LayerSolver, "solve", counted)
    return solved


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_is_the_same_whatever_was_built_before_it(kind):
    network = traced(kind)
    compressor = compressor_of(network)
    names = [group.name for group in network.groups]
    layer = network.layers[1].name
    policies = [Policy({name: 0.5}) for name in names]
    policies += [Policy(dict.fromkeys(names, 0.5)), Policy(weights={layer: 0.5})]
    for policy in [*policies, *policies[::-1]]:
        expected = compressor_of(network).candidate(policy).state_dict()
        found = compressor.candidate(policy).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_only_layers_from_the_first_change_on_are_solved_again(monkeypatch):
    convolutions = [nn.Conv2d(*channels, 3) for channels in ((3, 8), (8, 8), (8, 8), (8, 2))]
    network = trace(nn.Sequential(*convolutions), IMAGES[:1])
    compressor = compressor_of(network)
    solved = solved_layers(monkeypatch)
    compressor.candidate(Policy({"0": 0.5, "2": 0.5}))
    assert solved == ["1", "2", "3"]

    solved.clear()
    compressor.candidate(Policy({"0": 0.5, "2": 0.25}))
    assert solved == ["2", "3"]

    solved.clear()
    compressor.candidate(Policy({"0": 0.5, "2": 0.5}))
    assert not solved


def test_fits_take_no_more_than_their_room():
    calibration = compressor_of(traced()).refitter.calibration
    fit = (torch.zeros(4, 5), torch.zeros(4))
    fits = Fits(calibration, room=3 * 96)
    keys = [("a", bytes([number]), (), True) for number in range(4)]
    for key in keys[:3]:
        fits.put(key, fit)
    fits.get(keys[0])
    fits.put(keys[3], fit)
    remembered = [fits.get(key) is not None for key in keys]
    assert remembered == [True, False, True, True]
    fits.put(("b", b"", (), True), (torch.zeros(80), torch.zeros(4)))
    assert fits.get(("b", b"", (), True)) is None


@pytest.mark.parametrize("width", [1, 143, 144, 145, 500])
def test_gram_matrices_are_products_of_samples(width):
    x = torch.randn(2, 60, width, dtype=torch.float64)
    gram = NormalEquations.of(x, x[..., :0], centred=False).gram
    assert torch.allclose(gram, x.mT @ x)


def test_a_candidate_is_the_same_after_what_is_delivered_was_built():
    policy = Policy({"a.0": 0.5, "b.0": 0.5})
    compressor = compressor_of(traced())
    before = compressor.candidate(policy).state_dict()
    compressor.candidate(policy, final=True)
    compressor.release()
    after = compressor.candidate(policy).state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("bits", [{}, {"a.0": 4}])
def test_a_final_candidate_may_be_written_into(bits):
    network = traced()
    compressor = compressor_of(network)
    channels = {group.name: 0.5 for group in network.groups}
    policy = Policy(channels, weight_bits=bits, activation_bits=bits)
    expected = compressor_of(network).candidate(policy, final=True).state_dict()

    for tensor in compressor.candidate(policy, final=True).state_dict().values():
        tensor.zero_()
    found = compressor.candidate(policy, final=True).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
