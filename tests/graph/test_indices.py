"""Channels picked by position: lists, buffers, computed ranges, masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sartor.compression import mask, narrow
from sartor.graph import trace


class Picked(nn.Module):
    """``pick`` takes 8 of 12 channels, or all in another order."""

    def __init__(self, pick, count):
        super().__init__()
        self.a = nn.Conv2d(3, 12, 3, padding=1)
        self.b = nn.Conv2d(count, 6, 3)
        self.pick = pick
        order = torch.tensor([11, 0, 3, 5, 2, 8, 9, 1])
        self.register_buffer("order", order)
        self.register_buffer("negative", order - 12)
        self.register_buffer("backwards", torch.arange(11, -1, -1))
        self.register_buffer("flags", torch.arange(12) % 3 > 0)
        self.register_buffer("signs", 1 - 2 * (torch.arange(12) % 2).view(1, 12, 1, 1))

    def forward(self, x):
        return self.b(self.pick(self, F.relu(self.a(x))))


def gather(net, x):
    return x.gather(1, net.backwards.view(1, 12, 1, 1).expand(x.shape))


def take_along_dim(net, x):
    return torch.take_along_dim(x, net.order[None, :, None, None], 1)


EIGHT = [11, 0, 3, 5, 2, 8, 9, 1]
PICKS = {
    "list": (lambda net, x: x[:, EIGHT], EIGHT),
    "buffer": (lambda net, x: x[:, net.order], EIGHT),
    "negative": (lambda net, x: x[:, net.negative], EIGHT),
    "index_select": (lambda net, x: x.index_select(1, net.order), EIGHT),
    "torch.index_select": (lambda net, x: torch.index_select(x, 1, net.order), EIGHT),
    "take_along_dim": (take_along_dim, EIGHT),
    "gather": (gather, range(11, -1, -1)),
    "backwards": (lambda net, x: x[:, net.backwards], range(11, -1, -1)),
    "arange": (lambda net, x: x[:, torch.arange(11, -1, -1)], range(11, -1, -1)),
    "sized arange": (
        lambda net, x: x[:, torch.arange(x.shape[1] - 1, -1, -1)],
        range(11, -1, -1),
    ),
    "flip": (lambda net, x: x.flip(1), range(11, -1, -1)),
    "shifted": (lambda net, x: x[:, (net.order + 1) % 12], [(i + 1) % 12 for i in EIGHT]),
    "flags": (lambda net, x: x[:, net.flags], [i for i in range(12) if i % 3]),
    "slice from the end": (lambda net, x: x[:, -8:], range(4, 12)),
}


@pytest.mark.parametrize("how", PICKS)
def test_every_channel_is_followed_to_where_it_goes(how):
    pick, expected = PICKS[how]
    expected = list(expected)
    model = Picked(pick, len(expected)).eval()
    network = trace(model, torch.randn(1, 3, 8, 8))
    written = network.slot_by_name["a"].out_units
    read = network.slot_by_name["b"].in_units
    assert read.tolist() == written[expected].tolist()
    assert (read >= 0).all()
    kept = np.ones(network.units, dtype=np.bool_)
    kept[written[expected][1:4]] = False
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.module(x), model(x))
        torch.testing.assert_close(narrow(network, kept)(x), mask(network, kept)(x))


def by_strength(net, x):
    order = x.mean((2, 3)).argsort(1)
    return x.gather(1, order[:, :, None, None].expand(x.shape))


def by_signs(net, x):
    return x * net.signs


@pytest.mark.parametrize(
    ("pick", "reason"),
    [
        (by_strength, "meets argsort, which sartor does not prune through"),
        (by_signs, "combined with signs"),
    ],
)
def test_what_cannot_be_followed_is_kept_whole(pick, reason):
    network = trace(Picked(pick, 12), torch.randn(1, 3, 8, 8))
    assert network.groups == ()
    (first, _) = network.kept_whole
    assert (first.layer, first.channels, first.reason) == ("a", 12, reason)
    assert network.unknown_operators == ()


def test_positions_that_are_computed_keep_what_they_pick_whole():
    class Best(nn.Module):
        """Picks channels of one tensor by the values of another."""

        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 12, 3)
            self.b = nn.Conv2d(12, 6, 3)

        def forward(self, x, scores):
            order = scores.argsort(1)[:, :, None, None]
            x = self.a(x)
            return self.b(x.gather(1, order.expand(x.shape)))

    network = trace(Best(), (torch.randn(1, 3, 8, 8), torch.randn(1, 12)))
    assert network.groups == ()
    assert network.kept_whole[0].reason == "picked by positions that are computed"


class Comparisons(nn.Module):
    """Flags made of one tensor multiply another: their channels belong together."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3)
        self.b = nn.Conv2d(3, 8, 3)
        self.c = nn.Conv2d(8, 4, 3)

    def forward(self, x):
        return self.c(self.a(x) * (self.b(x) > 0))


def test_comparisons_combine_channels():
    network = trace(Comparisons(), torch.randn(1, 3, 8, 8))
    (group,) = network.groups
    assert group.producers == ("a", "b")


class Turned(nn.Module):
    """Attributes of tensors are tensors."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3)
        self.b = nn.Conv2d(8, 4, 3)
        self.c = nn.Linear(4, 2)

    def forward(self, x):
        return self.c(self.b(self.a(x).mT).data.mean((2, 3)).T.T)


def test_attributes_that_are_tensors_are_followed():
    network = trace(Turned(), torch.randn(1, 3, 8, 8))
    assert {group.name: group.size for group in network.groups} == {"a": 8, "b": 4}


class Constant(nn.Module):
    """A convolution that is also called on a constant."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 6, 3)
        self.head = nn.Conv2d(6, 2, 1)
        self.level = nn.Parameter(torch.rand(1))

    def forward(self, x):
        level = self.level.expand(x.shape[0], 8, 8, 8)
        return self.head(self.b(self.a(x)) + self.b(level))


def test_channels_that_share_weights_with_a_constant_are_kept_whole():
    network = trace(Constant(), torch.randn(1, 3, 8, 8))
    assert [group.name for group in network.groups] == ["b"]
    first = network.kept_whole[0]
    assert first.layer == "a"
    assert first.channels == 8
    assert first.reason == "shares weights with a constant channel"


class PaddedTwice(nn.Module):
    """One padded tensor is added to two others, and reaches them in one width."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 10, 3, padding=1)
        self.c = nn.Conv2d(4, 10, 3, padding=1)
        self.d = nn.Conv2d(10, 3, 3)
        self.e = nn.Conv2d(10, 3, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        padded = F.pad(x, (0, 0, 0, 0, 3, 3))
        return self.d(self.b(x) + padded) + self.e(self.c(x) + padded)


def test_padding_binds_what_it_is_added_to():
    network = trace(PaddedTwice(), torch.randn(1, 3, 8, 8))
    written = network.slot_by_name["a"].out_units
    first = network.slot_by_name["b"].out_units
    second = network.slot_by_name["c"].out_units
    assert first.tolist() == second.tolist()
    assert first[3:7].tolist() == written.tolist()
    assert len(set(first.tolist())) == 10
    assert {group.name: group.size for group in network.groups} == {"a": 4, "b": 6}


class Scalar(nn.Module):
    """A number that is made as wide as the channels."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3)
        self.b = nn.Conv2d(3, 8, 3)
        self.c = nn.Conv2d(8, 2, 3)
        self.d = nn.Conv2d(8, 2, 3)
        self.level = nn.Parameter(torch.rand(1))

    def forward(self, x):
        a = self.a(x)
        level = self.level.expand(a.shape)
        return self.c(a * level) + self.d(self.b(x) * level)


def test_a_constant_binds_no_channels_of_different_tensors():
    network = trace(Scalar(), torch.randn(1, 3, 8, 8))
    assert {group.name: group.size for group in network.groups} == {"a": 8, "b": 8}
