import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import topologies
from sartor import models
from sartor.compression import CompressOptions, Compressor
from sartor.cost import Cost, CostModel
from sartor.errors import PolicyError
from sartor.graph import trace
from sartor.policy import Policy

#: SPEC's counts; the first five to the printed digits, the others within 0.5 %.
COUNTS = [
    ("resnet20", 32, 40.55e6, 0.005e6),
    ("resnet56", 32, 125.49e6, 0.005e6),
    ("mobilenet_v1", 224, 569e6, 0.5e6),
    ("mobilenet_v2", 224, 300.8e6, 0.05e6),
    ("resnet18", 32, 555.4e6, 0.05e6),
    ("resnet18", 224, 1.81e9, 0.005 * 1.81e9),
    ("resnet50", 224, 4.09e9, 0.005 * 4.09e9),
    ("vgg16_bn", 224, 15.47e9, 0.005 * 15.47e9),
]


@pytest.mark.parametrize(("name", "pixels", "macs", "tolerance"), COUNTS)
def test_macs_are_the_published_ones(name, pixels, macs, tolerance):
    network = trace(models.build(name, pixels=pixels), torch.zeros(1, 3, pixels, pixels))
    cost = CostModel(network).original
    assert abs(cost.macs - macs) <= tolerance
    assert cost.params == sum(
        parameter.numel() for parameter in models.build(name, pixels=pixels).parameters()
    )
    assert (cost.size, cost.bops) == (4 * cost.params, 1024 * cost.macs)
    assert network.unknown_operators == ()


@pytest.mark.parametrize("kind", topologies.ALL, ids=lambda kind: kind.__name__)
def test_the_closed_form_equals_counting_the_sliced_network(kind):
    network = trace(kind(), topologies.example_inputs(kind))
    compressor = Compressor(network, None, CompressOptions())

    @settings(max_examples=5, deadline=None)
    @given(st.lists(st.floats(0.05, 1), min_size=len(network.groups), max_size=len(network.groups)))
    def check(ratios):
        policy = Policy(
            {group.name: ratio for group, ratio in zip(network.groups, ratios, strict=True)}
        )
        candidate = compressor.candidate(policy)
        cost = compressor.cost_model.cost(policy)
        assert cost.params == sum(parameter.numel() for parameter in candidate.parameters())
        again = trace(candidate, topologies.example_inputs(kind))
        assert cost.macs == CostModel(again).original.macs

    check()


def test_fine_grained_pruning_saves_parameters_and_pays_for_its_bitmap():
    network = trace(topologies.Residual(), torch.zeros(1, 3, 16, 16))
    model = CostModel(network)
    cost = model.cost(Policy(weights={"b.0": 0.25}))
    removed = 12 * 20 * 9 * 3 // 4
    assert cost.params == model.original.params - removed
    assert cost.macs == model.original.macs
    assert cost.size == model.original.size - 4 * removed + 12 * 20 * 9 // 8


def test_counts_beyond_the_network_are_refused():
    model = CostModel(trace(topologies.Residual(), torch.zeros(1, 3, 16, 16)))
    with pytest.raises(
        PolicyError, match=r"names the group 'nowhere', which the network lacks; it has a\.0, b\.0"
    ):
        model.cost(Policy({"nowhere": 0.5}))


def test_many_policies_at_once_equal_one_at_a_time():
    network = trace(models.build("resnet20"), torch.zeros(1, 3, 32, 32))
    model = CostModel(network)
    counts = np.random.default_rng(0).integers(1, model.sizes + 1, (20, len(model.sizes)))
    together = model.total("macs", counts)
    for row, macs in zip(counts, together, strict=True):
        ratios = {
            group.name: count / group.size for group, count in zip(network.groups, row, strict=True)
        }
        assert model.cost(Policy(ratios)).macs == round(macs)


def test_layers_add_up_to_the_whole():
    network = trace(models.build("resnet20"), torch.zeros(1, 3, 32, 32))
    model = CostModel(network)
    policy = Policy({group.name: 0.5 for group in network.groups}, weight_bits={"conv1": 4})
    layers = model.by_layer(policy)
    assert sum(layer.macs for layer in layers) == model.cost(policy).macs
    assert [layer.out_channels for layer in model.by_layer(Policy())] == [
        layer.out_channels for layer in network.layers
    ]
    assert (layers[0].weight_bits, layers[0].activation_bits, layers[1].weight_bits) == (4, 32, 32)


def test_a_norm_of_one_channel_counts():
    layers = [nn.Conv2d(3, 1, 3), nn.BatchNorm2d(1), nn.PReLU(), nn.Conv2d(1, 4, 3)]
    cost = CostModel(trace(nn.Sequential(*layers).eval(), torch.zeros(1, 3, 8, 8))).original
    # weights and bias, scale and shift, slope, weights and bias
    assert cost.params == (27 + 1) + 2 + 1 + (36 + 4)


class Tied(nn.Module):
    """Two layers with one weight, each with a bias of its own, and norms that share both."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1, bias=False)
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.two.weight = self.one.weight
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.BatchNorm2d(4)
        self.again.weight = self.norm.weight
        self.again.bias = self.norm.bias
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        x = self.norm(self.one(self.stem(x))).relu()
        return self.head(self.again(self.two(x)).relu().mean((2, 3)))


def test_parameters_that_modules_share_are_counted_once():
    network = trace(Tied().eval(), torch.zeros(1, 3, 5, 5))
    model = CostModel(network)
    weights = 4 * 4 * 9
    cost = model.original
    assert network.shared["two"] == "one"
    assert cost.params == 12 + weights + 4 + 4 + 8 + 8
    assert cost.params == sum(parameter.numel() for parameter in Tied().parameters())
    assert cost.size == 4 * cost.params
    assert cost.macs == 25 * (12 + 2 * weights) + 8

    alike = model.cost(Policy(weights={"one": 0.5, "two": 0.5}))
    assert alike.params == cost.params - weights // 2
    assert alike.size == cost.size - 4 * (weights // 2) + weights // 8
    apart = model.cost(Policy(weights={"one": 0.5}))
    assert apart.params == cost.params + weights // 2
    by_bits = model.cost(Policy(weight_bits={"one": 8, "two": 8}))
    assert by_bits.size == cost.size - 3 * weights
    assert model.cost(Policy(weight_bits={"one": 8})).size == cost.size + weights


def test_at_least_one_weight_is_left_of_every_layer():
    network = trace(nn.Sequential(nn.Linear(3, 2, bias=False)), torch.zeros(1, 3))
    model = CostModel(network)
    assert model.cost(Policy(weights={"0": 0.05})).params == 1
    assert model.cost(Policy(weights={"0": 0.6})).params == 4  # 3.6 is rounded
    candidate = Compressor(network, None, CompressOptions()).candidate(Policy(weights={"0": 0.05}))
    assert int((candidate.get_submodule("0").weight != 0).sum()) == 1


def test_bytes_and_bit_operations_of_a_linear_layer():
    model = CostModel(trace(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3)))
    cost = model.cost(Policy(weight_bits={"0": 4}, activation_bits={"0": 8}))
    assert (cost.macs, cost.bops) == (6, 6 * 4 * 8)
    assert cost.size == 6 * 4 // 8 + 2 * 4
    only_activations = model.cost(Policy(activation_bits={"0": 8}))
    assert (only_activations.size, only_activations.bops) == (8 * 4, 6 * 32 * 8)


def test_ratios_to_a_cost_of_nothing_are_one():
    nothing = Cost(macs=0, params=4, size=16, bops=0)
    assert nothing.ratio(nothing) == {"macs": 1.0, "params": 1.0, "size": 1.0, "bops": 1.0}


def test_counts_are_for_the_groups_of_the_network():
    network = trace(topologies.Residual(), torch.zeros(1, 3, 16, 16))
    model = CostModel(network)
    assert model.counts(Policy({"b.0": 0.5})) == {"a.0": 12, "b.0": 10}
    with pytest.raises(PolicyError, match=r"names the layer 'b', which the network lacks; it has"):
        model.cost(Policy(weight_bits={"b": 8}))
    with pytest.raises(PolicyError, match=r"names the layer 'b', which the network lacks; it has"):
        model.cost(Policy(activation_bits={"b": 8}))
    with pytest.raises(PolicyError, match=r"names the layer 'b', which the network lacks; it has"):
        model.cost(Policy(weights={"b": 0.5}))
