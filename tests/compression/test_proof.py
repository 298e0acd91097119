"""Networks that are right by accident, and what counters and observers leave on modules."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sartor.compression import CompressOptions, Compressor, keep_safe_groups, mask, narrow
from sartor.compression.slicing import widen
from sartor.graph import OPERATORS, Effect, trace
from sartor.policy import Policy


def convolutions():
    layers = [nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU()]
    layers += [nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.PReLU(16)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)]
    return nn.Sequential(*layers, *head)


def with_counters(model):
    """As counters of operations leave a network: one number on every module."""
    for module in model.modules():
        module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64))
        module.register_buffer("total_params", torch.zeros((), dtype=torch.int64))
    return model


def with_histogram(model):
    model[1].register_buffer("histogram", torch.zeros(3, 5))
    return model


def with_a_buffer_of_as_many_numbers(model):
    """No numbers of channels, though there are as many."""
    model[1].register_buffer("seen", torch.arange(16.0))
    model[0].register_buffer("seen", torch.arange(16.0))
    return model


def with_a_parameter_of_its_own(model):
    model[0].register_parameter("temperature", nn.Parameter(torch.ones(7)))
    return model


@pytest.mark.parametrize(
    "change",
    [
        with_counters,
        with_histogram,
        with_a_buffer_of_as_many_numbers,
        with_a_parameter_of_its_own,
    ],
)
def test_what_is_not_per_channel_stays_as_it_is(change):
    torch.manual_seed(0)
    model = change(convolutions()).eval()
    images = torch.randn(16, 3, 12, 12)
    network = trace(model, images[:1])
    checked = keep_safe_groups(network)
    assert [group.name for group in checked.groups] == ["0", "3"]
    compressor = Compressor(checked, images, CompressOptions(images=16))
    policy = Policy(channels={"0": 0.5, "3": 0.25})
    candidate = compressor.candidate(policy)
    state = candidate.state_dict()
    assert state["1.running_mean"].shape == (8,)
    assert state["5.weight"].shape == (4,)
    original = model.state_dict()
    known = ("weight", "bias", "running_mean", "running_var")
    for name, tensor in state.items():
        if not name.endswith(known):
            assert torch.equal(tensor, original[name])
    kept = compressor.kept(policy)
    narrower = narrow(checked, kept)
    wide = trace(model, images[:1]).module
    wide.load_state_dict(widen(checked, narrower, kept))
    with torch.no_grad():
        assert torch.allclose(wide(images), narrower(images), atol=1e-5)
    counted = compressor.cost_model.cost(policy).params
    assert counted == sum(parameter.numel() for parameter in candidate.parameters())


class Halves(nn.Module):
    """Two halves of one tensor, each read by a layer of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(14, 4)

    def forward(self, x):
        left, right = F.relu(self.stem(x)).chunk(2, 1)
        left = F.relu(self.left(left))
        return self.head(torch.cat([left, F.relu(self.right(right))], 1).mean((2, 3)))


class HalvesOfOneGroup(nn.Module):
    """The halves change places: all their channels do the same to the layers around them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.after = nn.Conv2d(16, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        left, right = F.relu(self.stem(x)).chunk(2, 1)
        return self.head(F.relu(self.after(torch.cat([right, left.sigmoid()], 1))).mean((2, 3)))


@pytest.mark.parametrize("kind", [Halves, HalvesOfOneGroup])
def test_every_policy_of_a_proved_network_runs_and_is_right(kind):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 10, 10)
    network = keep_safe_groups(trace(kind().eval(), images[:1]))
    assert network.groups
    rng = np.random.default_rng(0)
    for _ in range(40):
        kept = np.ones(network.units, dtype=bool)
        for group in network.groups:
            kept[rng.permutation(group.units)[rng.integers(1, group.size + 1) :]] = False
        with torch.no_grad():
            sliced = narrow(network, kept)(images)
            masked = mask(network, kept)(images)
        assert torch.allclose(sliced, masked, atol=1e-5)


class Ratio(nn.Module):
    """Multiplies by the ratio of two numbers of channels, which nobody sees from outside."""

    def forward(self, y, x):
        return y * (x.shape[1] / y.shape[1])


class EqualWidths(nn.Module):
    """Right as long as two layers have equally many channels."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3)
        self.b = nn.Conv2d(8, 8, 3)
        self.ratio = Ratio()
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.a(x))
        y = self.ratio(F.relu(self.b(x)), x)
        return self.head(y.mean((2, 3)))


def test_shares_differ_so_that_what_needs_equal_widths_is_found():
    OPERATORS.register(Ratio, Effect.SPATIAL)
    images = torch.randn(1, 3, 10, 10)
    network = keep_safe_groups(trace(EqualWidths().eval(), images))
    assert network.groups == ()
    assert [item.layer for item in network.kept_whole[-2:]] == ["a", "b"]


class Scaled(nn.Module):
    """Multiplies by the number of channels wherever its input is not zero."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, bias=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.a(x)).mean((2, 3))
        return self.head(x * x.shape[1])


def test_what_is_computed_of_the_number_of_channels_stays_as_it_was():
    images = torch.randn(1, 3, 10, 10)
    network = keep_safe_groups(trace(Scaled().eval(), images))
    assert [group.name for group in network.groups] == ["a"]


class Hidden(nn.Module):
    """The same where nobody can see it from outside."""

    def forward(self, x):
        return x * x.shape[1]


def test_an_example_of_zeros_hides_nothing():
    OPERATORS.register(Hidden, Effect.POINTWISE)
    layers = [nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), Hidden(), nn.Conv2d(8, 4, 3)]
    network = keep_safe_groups(trace(nn.Sequential(*layers).eval(), torch.zeros(1, 3, 10, 10)))
    assert network.groups == ()
    assert network.kept_whole[-1].reason == "fails the slicing check: the output changes"


class Positive(nn.Module):
    """Takes positive numbers only: random ones give NaN, or are refused."""

    def __init__(self, refuses):
        super().__init__()
        self.refuses = refuses
        self.a = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        if self.refuses:
            torch._assert(x.amin((1, 2, 3)) > 0, "positive numbers are expected")
        return self.head(F.relu(self.a(x.log())).mean((2, 3)))


@pytest.mark.parametrize("refuses", [False, True])
def test_random_numbers_that_a_network_is_not_made_for_prove_nothing(refuses):
    images = torch.rand(1, 3, 10, 10) + 0.5
    network = keep_safe_groups(trace(Positive(refuses).eval(), images))
    assert [group.name for group in network.groups] == ["a"]


class LengthOfWhatIsLeft(torch.nn.Module):
    """Divides by a length that is 0 where all that feeds it is removed: 0 / 0 in both forms."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3)
        self.second = torch.nn.Conv2d(8, 4, 3)
        self.linear = torch.nn.Linear(4, 10)
        with torch.no_grad():
            self.first.weight.abs_()
            self.first.bias.zero_()
            self.second.weight.abs_()
            self.second.bias.fill_(-1.5)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x.abs())))).mean((2, 3))
        return self.linear(x / x.norm(dim=1, keepdim=True))


def test_what_is_no_number_in_both_forms_is_no_difference():
    network = trace(LengthOfWhatIsLeft().eval(), torch.ones(1, 1, 8, 8))
    assert [group.name for group in keep_safe_groups(network).groups] == ["first"]
