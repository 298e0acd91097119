"""Batch norms are folded where that changes nothing, and stand again for training."""

import itertools

import pytest
import torch
from torch import nn

import topologies
from sartor.compression import GALEN, INTEGER, QuantizedWeight, fold, quantize
from sartor.compression.quantizing import refold, unfold
from sartor.graph import tensors_in, trace
from sartor.policy import Policy


def folded(kind):
    model = topologies.randomized(kind())
    network = trace(model, topologies.example_inputs(kind))
    return model, network, fold(network.module)


def rounded(kind, scheme, bits, images):
    _, network, float_network = folded(kind)
    layers = [layer.name for layer in network.layers]
    policy = Policy(
        weight_bits=dict.fromkeys(layers, bits), activation_bits=dict.fromkeys(layers, 8)
    )
    return quantize(float_network, policy, images, scheme)


@torch.no_grad()
@pytest.mark.parametrize("kind", topologies.ALL)
def test_folding_changes_nothing(kind):
    model, _, network = folded(kind)
    images = topologies.example_inputs(kind, batch=4, seed=1)
    for got, expected in zip(tensors_in(network(*images)), tensors_in(model(*images)), strict=True):
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", topologies.ALL)
def test_unfolding_changes_nothing_and_folding_again_gives_the_same_tensors(kind):
    _, _, network = folded(kind)
    images = topologies.example_inputs(kind, batch=16, seed=1)
    trained = unfold(network, images)
    again = refold(trained)
    for other in (trained, again):
        for got, expected in zip(
            tensors_in(other(*images)), tensors_in(network(*images)), strict=True
        ):
            assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    tensors = again.state_dict()
    assert tensors.keys() == network.state_dict().keys()
    assert all(
        torch.allclose(tensors[name], item, rtol=1e-4, atol=1e-5)
        for name, item in network.state_dict().items()
    )


@torch.no_grad()
def test_a_batch_norm_that_keeps_no_statistics_is_not_folded():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8, track_running_stats=False),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    ).eval()
    images = torch.randn(4, 3, 8, 8)
    assert torch.allclose(fold(trace(model, images).module)(images), model(images), atol=1e-5)


@torch.no_grad()
def test_batch_norms_stand_where_they_stood_but_behind_several_layers():
    _, _, float_network = folded(topologies.SharedLayerOwnNorms)
    trained = unfold(float_network, (torch.randn(4, 3, 16, 16),))
    norms = [name for name, module in trained.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == ["stem.1", "a1", "a2", "b1"], "a1, a2 and b1 were never folded, e stays so"
    assert trained.get_submodule("stem.0").weight.flatten(1).norm(dim=1).allclose(torch.ones(8))


@pytest.mark.parametrize(("scheme", "bits"), [(INTEGER, 8), (INTEGER, 3), (GALEN, 4), (GALEN, 1)])
def test_a_trained_network_is_worth_the_same_when_folded(scheme, bits):
    """Steps per output channel take any scale, but for the rounding of few numbers."""
    images = (torch.randn(64, 3, 16, 16),)
    candidate = rounded(topologies.Residual, scheme, bits, images)
    trained = unfold(candidate, images).train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        trained(*images).square().mean().backward()
        optimizer.step()
    trained.eval()
    with torch.no_grad():
        before, now, delivered = candidate(*images), trained(*images), refold(trained)(*images)
    assert (now - before).abs().mean() > 20 * (now - delivered).abs().mean()
    assert delivered.square().mean() < 0.5 * before.square().mean()


@pytest.mark.parametrize("scheme", [INTEGER, GALEN])
def test_learned_ranges_are_delivered_and_are_where_the_next_training_begins(scheme):
    images = (torch.randn(64, 3, 16, 16),)
    candidate = rounded(topologies.Residual, scheme, 4, images)
    trained = unfold(candidate, images)
    growths = [item for name, item in trained.named_parameters() if name.endswith("growth")]
    with torch.no_grad():
        for item in growths:
            item.uniform_(-4.0, 2.0)
        # Folded, half of the outputs turn round.
        for module in trained.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[::2] *= -1
    delivered = refold(trained)
    assert delivered.state_dict().keys() == candidate.state_dict().keys()
    again = refold(unfold(delivered, images))
    with torch.no_grad():
        assert torch.allclose(delivered(*images), trained(*images), rtol=1e-3, atol=1e-4)
        assert torch.allclose(again(*images), delivered(*images), rtol=1e-3, atol=1e-4)
    for name, module in delivered.named_modules():
        if isinstance(module, QuantizedWeight):
            assert torch.equal(again.get_submodule(name).integers(), module.integers())
            assert torch.allclose(module.clipped(), module.weight)


def test_what_was_only_moved_keeps_the_range_of_its_source():
    images = (torch.randn(16, 3, 16, 16),)
    candidate = rounded(topologies.ZeroPadShortcut, INTEGER, 8, images)
    before = scales(candidate)
    trained = unfold(candidate, images)
    with torch.no_grad():
        for name, item in trained.named_parameters():
            if name.endswith("growth"):
                item.uniform_(-4.0, 2.0)
    after = scales(refold(trained))
    pairs = [(a, b) for a, b in itertools.combinations(before, 2) if before[a] == before[b]]
    assert pairs
    for first, second in pairs:
        assert after[first] == after[second] != before[first]


def scales(network):
    """Steps of all activations that are rounded, by name."""
    return {
        name: float(item) for name, item in network.state_dict().items() if name.endswith(".scale")
    }


def test_batches_are_normalized_by_their_own_statistics_in_training():
    images = (torch.randn(64, 3, 16, 16),)
    trained = unfold(rounded(topologies.Residual, INTEGER, 8, images), images)
    seen = {}
    trained.get_submodule("b.1").register_forward_hook(
        lambda module, given, output: seen.update(output=output)
    )
    trained.train()(images[0] * 2)
    norm = trained.get_submodule("b.1")
    assert torch.allclose(seen["output"].mean((0, 2, 3)), norm.bias, atol=1e-4)
    assert torch.allclose(seen["output"].std((0, 2, 3)), norm.weight, rtol=1e-2)
