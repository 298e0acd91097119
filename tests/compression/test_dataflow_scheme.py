"""Numbers as engines of an FPGA have them."""

import pytest
import torch
from torch import nn

from sartor.compression import (
    DATAFLOW,
    DATAFLOW_EXACT,
    ActivationQuantizer,
    QuantizedWeight,
    fold,
    layer_calls,
    quantize,
    sums_exactly,
)
from sartor.compression.quantizing import refold, unfold
from sartor.graph import trace
from sartor.policy import Policy


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.last = nn.Conv2d(8, 4, 3, padding=1)
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        x = torch.relu(x + self.second(x))
        return self.linear(torch.relu(self.last(x)).mean((2, 3)))


def rounded(scheme=DATAFLOW_EXACT, bits=4):
    torch.manual_seed(0)
    images = torch.randn(8, 3, 8, 8)
    network = trace(Residual(), images[:1])
    names = dict.fromkeys([layer.name for layer in network.layers], bits)
    policy = Policy(weight_bits=names, activation_bits=names)
    return quantize(fold(network.module), policy, (images,), scheme), images


def quantizers(network):
    found = []
    for node in network.graph.nodes:
        if node.op == "call_module":
            module = network.get_submodule(node.target)
            if isinstance(module, ActivationQuantizer):
                found.append((node, module))
    return found


def is_power_of_two(scale):
    return torch.equal(scale, torch.exp2(torch.log2(scale).round()))


@pytest.mark.parametrize("scheme", [DATAFLOW, DATAFLOW_EXACT])
def test_zero_is_the_middle_or_the_end_of_all_numbers(scheme):
    network, _ = rounded(scheme)
    for _, module in quantizers(network):
        assert int(module.zero_point) in (0, 2 ** (module.bits - 1))


def test_what_a_relu_gives_is_unsigned():
    quantizer = ActivationQuantizer(2, 0.0, 3.0, scheme=DATAFLOW)
    assert int(quantizer.zero_point) == 0
    assert quantizer(torch.arange(5.0)).tolist() == [0, 1, 2, 3, 3]


def test_summands_have_one_scale_and_one_type():
    network, _ = rounded()
    (addition,) = (node for node in network.graph.nodes if node.name == "add")
    read = [dict(quantizers(network))[node] for node in addition.all_input_nodes]
    assert len(read) == 2
    assert read[0] is read[1]


def test_steps_are_powers_of_two_where_they_shall_be():
    network, _ = rounded()
    assert sums_exactly(network)
    for module in network.modules():
        if isinstance(module, QuantizedWeight):
            assert is_power_of_two(module.weight_scale)
    assert all(is_power_of_two(module.scale) for _, module in quantizers(network))
    assert not sums_exactly(rounded(DATAFLOW)[0])


def test_sums_are_exact():
    network, images = rounded()
    for call in layer_calls(network, (images,)):
        if not isinstance(call.layer, nn.Conv2d):
            continue
        weight = call.layer.rounded().double()
        products = nn.functional.conv2d(call.input.double(), weight, padding=1)
        expected = products.detach().float() + call.layer.bias.view(-1, 1, 1)
        assert torch.equal(call.output, expected)


def test_ranges_that_were_trained_stay_powers_of_two_without_zero_points():
    network, images = rounded()
    trained = unfold(network, (images,))
    for module in trained.modules():
        if getattr(module, "growth", None) is not None:
            nn.init.uniform_(module.growth, -5, 5)
    settled = refold(trained)
    for module in settled.modules():
        if isinstance(module, QuantizedWeight):
            assert is_power_of_two(module.weight_scale)
            assert not module.weight_zero_point.any()
    for _, module in quantizers(settled):
        assert is_power_of_two(module.scale)
        assert int(module.zero_point) in (0, 2 ** (module.bits - 1))


def test_a_little_training_leaves_powers_of_two_as_they_are():
    network, images = rounded()
    before = [module.scale.clone() for _, module in quantizers(network)]
    trained = unfold(network, (images,))
    for module in trained.modules():
        if getattr(module, "growth", None) is not None:
            module.growth.data += 0.5
    after = [module.scale for _, module in quantizers(refold(trained))]
    assert all(map(torch.equal, after, before))


def test_what_is_trained_computes_what_is_delivered():
    network, images = rounded()
    trained = unfold(network, (images,))
    with torch.no_grad():
        expected = network(images)
        assert torch.equal(trained(images), expected)
        assert torch.equal(refold(trained)(images), expected)
