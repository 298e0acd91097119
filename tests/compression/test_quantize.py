import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import topologies
from sartor.compression import GALEN, INTEGER, REDUCED, fold, quantize
from sartor.compression.quantizing._quantizers import ActivationQuantizer, with_rounded_weight
from sartor.compression.quantizing._ranges import find_range
from sartor.errors import PolicyError
from sartor.graph import trace
from sartor.policy import Policy


def policy(layers, weights, activations):
    return Policy(
        weight_bits=dict.fromkeys(layers, weights),
        activation_bits=dict.fromkeys(layers, activations),
    )


def folded(kind=topologies.Residual):
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    return network, fold(network.module)


@pytest.mark.parametrize("bits", range(1, 9))
def test_activations_follow_the_paper_s_formula(bits):
    """q = clip(round(s·x − z), −2^(b−1), 2^(b−1) − 1).

    With s = (2^b − 1)/(max − min) and z = round(s·min) + 2^(b−1).
    """
    x = torch.randn(1000)
    low, high = float(x.min()), float(x.max())
    s = (2**bits - 1) / (high - low)
    z = round(s * low) + 2 ** (bits - 1)
    q = torch.clamp(torch.round(s * x - z), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    expected = (q + z) / s
    rounded = ActivationQuantizer(bits, low, high)(x)
    assert len(rounded.unique()) <= 2**bits
    assert ((rounded - expected).abs() < 1e-5).float().mean() > 0.99  # ties may fall either way
    assert (rounded - expected).abs().max() <= 1 / s + 1e-5


@pytest.mark.parametrize(
    ("bits", "symmetric"),
    [(8, True), (4, True), (2, True), (8, False), (4, False), (2, False), (1, False)],
)
def test_weights_are_rounded_per_output_channel(bits, symmetric):
    layer = nn.Conv2d(3, 6, 3).requires_grad_(False)
    layer.weight *= torch.logspace(-3, 1, 6).view(-1, 1, 1, 1)
    rounded = with_rounded_weight(layer, bits, INTEGER if symmetric else GALEN).rounded()
    for real, got in zip(layer.weight, rounded, strict=True):
        span = (
            2 * real.abs().max() / (2**bits - 2)
            if symmetric
            else (real.max() - real.min()) / (2**bits - 1)
        )
        assert len(got.unique()) <= 2**bits
        assert (real - got).abs().max() <= 1.01 * span
    if symmetric:
        again = with_rounded_weight(_like(layer, rounded), bits, INTEGER).rounded()
        assert torch.allclose(again, rounded, rtol=1e-5)


def _like(layer, weight):
    other = nn.Conv2d(3, 6, 3)
    other.weight = nn.Parameter(weight.detach())
    return other


def test_gradients_reach_the_real_weights_and_stop_at_clipped_inputs():
    layer = with_rounded_weight(nn.Linear(4, 3), 3, INTEGER)
    x = torch.randn(16, 4)
    layer(x).square().sum().backward()
    expected = torch.autograd.grad(
        F.linear(x, w := layer.rounded().detach().requires_grad_(), layer.bias).square().sum(), w
    )[0]
    assert torch.allclose(layer.weight.grad, expected)
    values = torch.tensor([-3.0, 0.2, 0.9, 5.0], requires_grad=True)
    ActivationQuantizer(4, 0.0, 1.0)(values).sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("scheme", "largest"), [(INTEGER, 127), (REDUCED, 63)])
def test_weights_of_8_bits_use_the_range_of_the_scheme(scheme, largest):
    layer = nn.Conv2d(3, 8, 3)
    rounded = with_rounded_weight(layer, 8, scheme)
    assert rounded.integers().flatten(1).abs().amax(1).tolist() == [largest] * 8
    assert with_rounded_weight(layer, 4, scheme).integers().abs().max() == 7


def test_every_layer_and_every_sum_is_rounded_in_the_integer_scheme():
    network, float_network = folded()
    layers = [layer.name for layer in network.layers]
    images = torch.randn(16, 3, 16, 16)
    candidate = quantize(float_network, policy(layers, 8, 8), (images,), INTEGER)
    seen = {}

    class Watch(torch.fx.Interpreter):
        def run_node(self, node):
            seen[node] = super().run_node(node)
            return seen[node]

    Watch(candidate).run(images)
    ran = [node for node in seen if node.op == "call_module" and str(node.target) in layers]
    sums = [
        node
        for node in seen
        if node.op == "call_function" and getattr(node.target, "__name__", "") == "add"
    ]
    assert sorted(str(node.target) for node in ran) == sorted(layers)
    assert len(sums) == 1
    for node in (*(layer.all_input_nodes[0] for layer in ran), *sums[0].all_input_nodes):
        assert isinstance(candidate.get_submodule(str(node.target)), ActivationQuantizer)
    with torch.no_grad():
        assert (candidate(images) - float_network(images)).abs().max() < 0.05 * float_network(
            images
        ).abs().max()


def test_the_original_is_left_alone_and_fewer_bits_are_worse():
    network, float_network = folded()
    images = torch.randn(32, 3, 16, 16)
    layers = [layer.name for layer in network.layers]
    with torch.no_grad():
        before = float_network(images)
        errors = [
            float(
                (
                    quantize(float_network, policy(layers, bits, bits), (images,), GALEN)(images)
                    - before
                )
                .square()
                .mean()
            )
            for bits in (8, 6, 4, 2)
        ]
        assert torch.equal(float_network(images), before)
    assert np.all(np.diff(errors) > 0)


def test_only_what_is_named_changes():
    _, float_network = folded()
    images = torch.randn(4, 3, 16, 16)
    candidate = quantize(float_network, policy(["b.0"], 4, 32), (images,), GALEN)
    assert not any(isinstance(module, ActivationQuantizer) for module in candidate.modules())
    untouched = dict(float_network.named_modules())["c.0"]
    assert candidate.get_submodule("c.0").weight is untouched.weight


@pytest.mark.parametrize(
    "kind",
    [topologies.Depthwise, topologies.Grouped, topologies.Concatenation, topologies.SharedLayer],
)
def test_all_kinds_of_networks_can_be_quantized(kind):
    network, float_network = folded(kind)
    images = torch.randn(16, 3, 16, 16)
    layers = [layer.name for layer in network.layers]
    with torch.no_grad():
        difference = quantize(float_network, policy(layers, 8, 8), (images,), INTEGER)(
            images
        ) - float_network(images)
        assert difference.abs().max() < 0.1 * float_network(images).abs().max()


def test_a_layer_that_is_not_there_is_refused():
    _, float_network = folded()
    with pytest.raises(PolicyError, match="layer 'nowhere' cannot be quantized"):
        quantize(float_network, policy(["nowhere"], 8, 8), None, INTEGER)


@pytest.mark.parametrize("method", ["percentile", "mse"])
@pytest.mark.parametrize("shape", [(40, 910, 11, 10), (8, 893, 28, 27)], ids=str)
def test_ranges_are_not_those_of_a_column(method, shape):
    """Every 22nd or 28th value would be one of the zeros that these are padded with."""
    values = torch.nn.functional.pad(torch.rand(shape), (1, 0))
    low, high = find_range(values, 8, method)
    assert low == pytest.approx(0.0, abs=1e-6)
    assert high == pytest.approx(1.0, abs=0.01)


def test_ranges():
    values = torch.cat([torch.rand(99_999), torch.tensor([100.0])])
    assert find_range(values, 8, "minmax") == (pytest.approx(0, abs=1e-3), 100.0)
    assert find_range(values, 8, "percentile")[1] == pytest.approx(1.0, abs=0.01)
    low, high = find_range(torch.randn(100_000), 3, "mse")
    assert 1.5 < high < 3.5  # the best 3-bit range of a Gaussian is far inside its extremes
    assert -3.5 < low < -1.5
