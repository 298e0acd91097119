import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from sartor import models
from sartor.compression import CompressOptions, Compressor
from sartor.cost import CostModel
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
        assert cost.macs == sum(
            layer.macs for layer in trace(candidate, topologies.example_inputs(kind)).layers
        )

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
