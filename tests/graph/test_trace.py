import numpy as np
import pytest
import torch
from torch import nn

import topologies
from sartor import models
from sartor.compression import layer_calls
from sartor.errors import TraceError, WeightsError
from sartor.graph import trace


def groups_of(kind):
    network = trace(kind(), topologies.example_inputs(kind))
    return {group.name: group for group in network.groups}, network


def test_residual_couples_both_ends_of_the_addition():
    groups, _ = groups_of(topologies.Residual)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 12, "b.0": 20}
    assert groups["a.0"].producers == ("a.0", "c.0")
    assert groups["a.0"].consumers == ("b.0", "head")


def test_concatenation_keeps_branches_apart_and_joins_a_tensor_used_twice():
    groups, network = groups_of(topologies.Concatenation)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 8, "b.0": 12, "c.0": 10}
    units = network.slot_by_name["c.0"].in_units
    assert (units[:8] == units[20:]).all()
    assert len(set(units[:20])) == 20


def test_depthwise_channels_follow_their_input_with_any_multiplier():
    groups, _ = groups_of(topologies.Depthwise)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 12, "p.0": 9}
    assert groups["a.0"].consumers == ("d.0", "m.0", "p.0")


def test_grouped_convolution_loses_the_same_positions_of_every_group():
    groups, network = groups_of(topologies.Grouped)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 4, "g.0": 8, "b.0": 8}
    rows = network.slot_by_name["g.0"].in_units.reshape(4, 4)
    assert (rows == rows[0]).all()


def test_squeeze_excitation_is_one_group_with_two_free_bottlenecks():
    groups, _ = groups_of(topologies.SqueezeExcitation)
    assert {name: group.size for name, group in groups.items()} == {
        "a.0": 16,
        "f1": 6,
        "l1": 4,
        "b.0": 8,
    }


def test_zero_padding_divides_the_stream_by_what_a_channel_spans():
    groups, network = groups_of(topologies.ZeroPadShortcut)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 8, "b.0": 16, "c.0": 8}
    assert groups["a.0"].producers == ("a.0", "c.0")
    assert groups["c.0"].producers == ("c.0",)
    padded = network.slot_by_name["c.0"].out_units
    assert set(padded[4:12]) == set(groups["a.0"].units)


def test_flatten_repeats_a_channel_once_per_pixel():
    groups, network = groups_of(topologies.Flatten)
    assert groups["b.0"].size == 10
    assert (
        np.bincount(
            network.slot_by_name["f"].in_units[network.slot_by_name["f"].in_units >= 0]
        ).max()
        == 16
    )


def test_shuffle_and_split_at_fixed_channels_can_still_be_pruned():
    groups, _ = groups_of(topologies.Shuffle)
    assert sum(group.size for group in groups.values()) == 16 + 8 + 12
    groups, _ = groups_of(topologies.Chunk)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 8, "b.0": 12}


def test_no_tensor_changes_after_it_was_seen():
    model, inputs = (
        topologies.randomized(topologies.InPlace()),
        topologies.example_inputs(topologies.InPlace),
    )
    network = trace(model, inputs)
    with torch.no_grad():
        assert torch.equal(network.module(*inputs), model(*inputs))
    (call, *_) = layer_calls(network.module, inputs)
    assert call.name == "a"
    assert call.output.min() < 0


def test_what_is_kept_whole_is_listed_with_its_reason():
    _, network = groups_of(topologies.Sorted)
    reasons = {item.layer: item.reason for item in network.kept_whole}
    assert reasons["a"] == "meets sort, which sartor does not prune through"
    assert reasons["head"] == "network output"
    _, network = groups_of(topologies.SpatialAttention)
    assert {item.layer: item.reason for item in network.kept_whole}[
        "m"
    ] == "combined with every channel of another tensor"


def test_norms_and_parameters_go_with_the_channels_that_they_meet():
    groups, _ = groups_of(topologies.GroupNormalized)
    assert {name: group.size for name, group in groups.items()} == {"a": 4, "b.0": 8}
    groups, _ = groups_of(topologies.LearnedScale)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 8, "b.0": 8}
    groups, _ = groups_of(topologies.SpatialAttention)
    assert {name: group.size for name, group in groups.items()} == {"a.0": 8, "b.0": 8}


def test_inputs_and_outputs_of_the_network_are_never_pruned():
    _, network = groups_of(topologies.TwoInputsTwoOutputs)
    for name, side in (
        ("a.0", "in_units"),
        ("b.0", "in_units"),
        ("head", "out_units"),
        ("mask", "out_units"),
    ):
        assert (getattr(network.slot_by_name[name], side) == -1).all()


@pytest.mark.parametrize(("blocks", "name"), [(9, "resnet20"), (27, "resnet56")])
def test_resnet_streams_are_groups_of_their_own(blocks, name):
    network = trace(models.build(name), torch.zeros(1, 3, 32, 32))
    sizes = {group.name: group.size for group in network.groups}
    assert (sizes["conv1"], sizes["layer2.0.conv2"], sizes["layer3.0.conv2"]) == (16, 16, 32)
    assert len(sizes) == blocks + 3


def test_tracing_changes_neither_the_model_nor_its_mode():
    model = topologies.Residual().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trace(model, torch.zeros(2, 3, 16, 16))
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_network_that_branches_on_values_is_refused_with_one_sentence():
    with pytest.raises(
        TraceError,
        match=r"Branching cannot be traced: its forward pass branches on the value of a tensor "
        r"at .*test_trace\.py:\d+ \(return x if x\.sum\(\) > 0 else -x\)",
    ):
        trace(Branching(), torch.zeros(1, 3))


def test_inputs_of_the_wrong_shape_are_refused():
    with pytest.raises(TraceError, match=r"fails on inputs of shape \(1, 4, 16, 16\)"):
        trace(topologies.Residual(), torch.zeros(1, 4, 16, 16))


def test_nan_weights_are_refused_by_name():
    model = topologies.Residual()
    model.b[0].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"b\.0\.weight of Residual has 1 NaN"):
        trace(model, torch.zeros(1, 3, 16, 16))


class AuxiliaryHead(nn.Module):
    """Has a head that is for training only."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)
        self.aux = nn.Sequential(nn.Conv2d(8, 64, 3), nn.ReLU(), nn.Conv2d(64, 4, 1))

    def forward(self, x, doubled=False):
        x = self.stem(x).relu()
        aux, out = self.aux(x).mean((2, 3)), self.head(x.mean((2, 3)))
        out = 2 * out if doubled else out
        return (out, aux) if self.training else out


def test_what_does_not_run_is_neither_counted_nor_decided_on():
    network = trace(AuxiliaryHead(), torch.randn(1, 3, 8, 8))
    assert [layer.name for layer in network.layers] == ["stem", "head"]
    assert not any(name.startswith("aux") for name in network.module.state_dict())


class Tokens(nn.Module):
    """A linear layer on every token of a batch at once."""

    def __init__(self):
        super().__init__()
        self.stem, self.mix = nn.Conv2d(3, 8, 2, stride=2), nn.Linear(8, 6)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.mix(x.reshape(-1, 8)).reshape(x.shape[0], -1, 6).mean(1)


def test_positions_in_the_batch_are_counted():
    network = trace(Tokens(), torch.randn(1, 3, 8, 8))
    assert network.layer_by_name["mix"].macs == 16 * 8 * 6
    assert network.layer_by_name["mix"].calls == 16


class ChangesAPart(nn.Module):
    """Changes a part of a tensor in place, and reads the whole."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.stem(x)
        x[:, :4].relu_()
        return self.head(x)


def test_a_part_that_is_changed_in_place_is_followed():
    model = ChangesAPart().eval()
    network = trace(model, torch.randn(1, 3, 8, 8))
    assert {group.name: group.size for group in network.groups} == {"stem": 8}
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.module(x), model(x))


class Insists(torch.nn.Module):
    """Fails unless the first layer has all of its channels, which nothing else depends on."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = (
            torch.nn.Conv2d(3, 8, 3),
            torch.nn.Conv2d(8, 8, 3),
            torch.nn.Linear(8, 5),
        )

    def forward(self, x):
        x = self.a(x).relu()
        torch._assert(x.shape[1] == 8, "8 channels are expected")
        return self.head(self.b(x).relu().mean((2, 3)))


def test_a_check_that_fails_on_fewer_channels_ends_no_trace():
    network = trace(Insists(), torch.randn(1, 3, 8, 8))
    assert [group.name for group in network.groups] == ["a", "b"]
