"""Weights in few bits are rounded together."""

import pytest
import torch

import topologies
from sartor.compression import GALEN, INTEGER, CompressOptions, Compressor, QuantizedWeight, fold
from sartor.compression.rounding._compensated import round_compensated
from sartor.graph import trace
from sartor.policy import Policy

KINDS = (topologies.Residual, topologies.Concatenation, topologies.Grouped, topologies.Depthwise)


def images_of(kind):
    (example,) = topologies.example_inputs(kind)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(64, *example.shape[1:], generator=generator)


def candidate_of(network, images, rounding, scheme, bits=3, channels=1.0, weights=1.0):
    options = CompressOptions(images=64, rounding=rounding)
    layers = [layer.name for layer in network.layers]
    policy = Policy(
        channels={group.name: channels for group in network.groups},
        weights=dict.fromkeys(layers, weights),
        weight_bits=dict.fromkeys(layers, bits),
        activation_bits=dict.fromkeys(layers, 8),
    )
    return Compressor(network, images, options, scheme=scheme).candidate(policy)


@pytest.mark.parametrize("scheme", [INTEGER, GALEN])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_nearer_than_with_each_weight_rounded_to_the_nearest(kind, scheme):
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    images = images_of(kind)
    wanted = fold(network.module)(images)
    errors = {}
    for rounding in ("nearest", "fitted"):
        candidate = candidate_of(network, images, rounding, scheme)
        errors[rounding] = (candidate(images) - wanted).square().mean()
    assert errors["fitted"] < 0.7 * errors["nearest"]


def test_what_is_stored_is_what_runs():
    kind = topologies.Residual
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    candidate = candidate_of(network, images_of(kind), "fitted", INTEGER)
    rounded = [item for item in candidate.modules() if isinstance(item, QuantizedWeight)]
    assert rounded
    for module in rounded:
        integers = module.integers()
        assert integers.abs().max() <= 3
        by_output = integers.flatten(1) * module.weight_scale[:, None]
        assert torch.allclose(module.rounded().flatten(1), by_output)


def test_pruned_weights_stay_zero():
    kind = topologies.Residual
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    candidate = candidate_of(network, images_of(kind), "fitted", INTEGER, weights=0.5)
    for layer in network.layers:
        zeros = (candidate.get_submodule(layer.name).rounded() == 0).float().mean()
        assert zeros >= 0.49


def test_eight_bits_are_rounded_as_before():
    kind = topologies.Residual
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    images = images_of(kind)
    found = [candidate_of(network, images, how, INTEGER, bits=8) for how in ("nearest", "fitted")]
    first, second = (item.state_dict() for item in found)
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())


def test_rounding_makes_up_for_what_inputs_have_in_common():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 8, generator=generator) @ torch.randn(8, 200, generator=generator)
    weight = torch.randn(4, 200, generator=generator)
    scale, zero_point = torch.full((4,), 0.5), torch.zeros(4)
    rounded = round_compensated(weight, inputs.T @ inputs, scale, zero_point, (-7, 7))
    nearest = (weight / 0.5).round().clamp(-7, 7) * 0.5
    error, naive = ((inputs @ (item - weight).T).square().sum() for item in (rounded, nearest))
    assert error < 0.1 * naive
    assert torch.equal((rounded / 0.5).round(), rounded / 0.5)
