"""The same function, written with other modules, is pruned and refitted alike."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sampled import sampled_outputs
from sartor.compression import CompressOptions, Compressor, fold
from sartor.compression.modules import weight_of
from sartor.compression.quantizing import unfold
from sartor.compression.refitting._calibration import Calibration, obstacle
from sartor.compression.refitting._matrix import as_matrix, from_matrix
from sartor.compression.refitting._windows import padding_sides
from sartor.graph import trace
from sartor.policy import Policy

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


def along_last(dims, value, elsewhere):
    """A number for each dimension: the images lie along the last one."""
    return (*(elsewhere,) * (dims - 1), value)


class Block(nn.Module):
    """A convolution, a residual block, a head, on sequences written as images of 1 to 3 axes."""

    def __init__(self, dims, same=False):
        super().__init__()

        def convolution(inside, outside, taps):
            padding = "same" if same else along_last(dims, taps // 2, 0)
            return CONVOLUTIONS[dims](inside, outside, along_last(dims, taps, 1), padding=padding)

        self.dims = dims
        self.first = nn.Sequential(convolution(2, 8, 5), NORMS[dims](8), nn.ReLU())
        self.inner = nn.Sequential(convolution(8, 12, 3), NORMS[dims](12), nn.ReLU())
        self.outer = nn.Sequential(convolution(12, 8, 3), NORMS[dims](8))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.first(x)
        x = F.relu(x + self.outer(self.inner(x)))
        return self.head(x.flatten(2).mean(-1))


def as_images(sequences, dims):
    return sequences.reshape(len(sequences), 2, *(1,) * (dims - 1), -1)


def randomized(model):
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, tuple(NORMS.values())):
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


def in_another_form(model, dims, same):
    """A network of another form with the same weights."""
    other = Block(dims, same)
    shapes = other.state_dict()
    weights = {
        name: tensor.reshape(shapes[name].shape) for name, tensor in model.state_dict().items()
    }
    other.load_state_dict(weights)
    return other.eval()


@pytest.mark.parametrize(
    ("dims", "same"), [(1, False), (1, True), (2, True), (3, False), (3, True)]
)
def test_other_spellings_give_the_same_candidates(dims, same):
    torch.manual_seed(0)
    model = randomized(Block(2))
    sequences = torch.randn(48, 2, 20)
    policy = Policy(channels={"first.0": 0.5, "inner.0": 0.5}, weights={"outer.0": 0.5})
    outputs = []
    for form in (model, in_another_form(model, dims, same)):
        images = as_images(sequences, form.dims)
        network = trace(form, images[:1])
        compressor = Compressor(network, images, CompressOptions(images=48, final_images=48))
        candidate = compressor.candidate(policy, final=True)
        assert compressor.not_refitted(policy) == {}
        with torch.no_grad():
            outputs.append(candidate(images))
    original, other = outputs
    assert (other - original).abs().max() < 1e-3 * original.abs().max()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_norms_behind_convolutions_of_any_dimension_are_folded_and_unfolded(dims):
    torch.manual_seed(0)
    images = as_images(torch.randn(32, 2, 20), dims)
    model = randomized(Block(dims))
    folded = fold(trace(model, images[:1]).module)
    assert not any(isinstance(module, NORMS[dims]) for module in folded.modules())
    unfolded = unfold(folded, (images,))
    assert sum(isinstance(module, NORMS[dims]) for module in unfolded.modules()) == 3
    with torch.no_grad():
        expected = model(images)
        assert torch.allclose(folded(images), expected, atol=1e-5)
        assert torch.allclose(unfolded(images), expected, atol=1e-4)


FORMS = [
    (1, {"kernel_size": 3, "padding": "same", "dilation": 2}),
    (1, {"kernel_size": 4, "padding": "same"}),
    (1, {"kernel_size": 5, "stride": 2, "padding": 2, "padding_mode": "reflect"}),
    (1, {"kernel_size": 1, "padding": 1}),
    (2, {"kernel_size": 3, "padding": "valid"}),
    (2, {"kernel_size": (2, 5), "padding": "same", "dilation": (3, 1)}),
    (2, {"kernel_size": 3, "stride": (2, 1), "padding": (1, 2), "dilation": 2}),
    (2, {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}),
    (2, {"kernel_size": 3, "padding": (2, 1), "padding_mode": "replicate"}),
    (2, {"kernel_size": 3, "padding": "same", "padding_mode": "reflect"}),
    (3, {"kernel_size": (1, 3, 2), "stride": (1, 2, 1), "padding": (0, 1, 1)}),
    (3, {"kernel_size": 2, "padding": "same", "dilation": (1, 2, 1), "padding_mode": "circular"}),
]


@pytest.mark.parametrize(("dims", "form"), FORMS, ids=str)
def test_windows_times_weights_are_the_sampled_outputs(dims, form):
    torch.manual_seed(0)
    layer = CONVOLUTIONS[dims](3, 5, bias=False, **form)
    images = torch.randn(4, 3, *(9, 7, 6)[:dims])
    model = nn.Sequential(layer, nn.ReLU(), CONVOLUTIONS[dims](5, 2, 1))
    network = trace(model.eval(), images[:1])
    calibration = Calibration.sample(network, images, 4, torch.Generator().manual_seed(0))
    rows = calibration.windows("0", layer, images) @ as_matrix(layer.weight).T
    with torch.no_grad():
        outputs = layer(images).flatten(2)[:, :, calibration.places["0"]]
    expected = outputs.permute(0, 2, 1).reshape(-1, 5)
    assert len(expected) == 4 * len(calibration.places["0"])
    assert torch.allclose(rows, expected, atol=1e-5)
    assert torch.allclose(sampled_outputs(calibration, "0"), expected, atol=1e-5)
    assert torch.equal(from_matrix(as_matrix(layer.weight), layer.weight), layer.weight)


def test_the_sides_that_are_padded():
    assert padding_sides(nn.Conv1d(1, 1, 4, padding="same")) == [(1, 2)]
    assert padding_sides(nn.Conv1d(1, 1, 3, padding="same", dilation=2)) == [(2, 2)]
    assert padding_sides(nn.Conv2d(1, 1, 3, padding="valid")) == [(0, 0), (0, 0)]
    assert padding_sides(nn.Conv2d(1, 1, 3, padding=(1, 2))) == [(1, 1), (2, 2)]


def test_what_stands_in_the_way_of_refitting():
    assert obstacle(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")) == ""
    assert obstacle(nn.Linear(12_000, 2)) == ""
    assert obstacle(nn.Linear(12_001, 2)) == "it reads 12,001 inputs at once, more than 12,000"
    assert obstacle(nn.Conv1d(4, 4, 3, groups=2)).startswith("it is grouped")


class Reused(nn.Module):
    """A depthwise layer, one that is called twice, and two that share their weights."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.twice = nn.Conv1d(8, 8, 3, padding=1)
        self.one = nn.Conv1d(8, 8, 1)
        self.other = nn.Conv1d(8, 8, 1)
        self.other.weight = self.one.weight
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.depthwise(F.relu(self.first(x))))
        x = F.relu(self.twice(F.relu(self.twice(x))))
        return self.head(F.relu(self.other(F.relu(self.one(x)))).mean(-1))


def test_layers_that_are_not_refitted_are_named_with_the_reason():
    torch.manual_seed(0)
    images = torch.randn(16, 3, 12)
    network = trace(Reused().eval(), images[:1])
    compressor = Compressor(network, images, CompressOptions(images=16))
    policy = Policy(channels={network.groups[0].name: 0.5})
    reasons = {
        "twice": "it is called 2 times",
        "one": "it shares its weights with another layer",
        "other": "it shares its weights with another layer",
    }
    assert compressor.not_refitted(policy) == reasons

    on_original = CompressOptions(images=16, refit="original")
    compressor = Compressor(network, images, on_original)
    grouped = "it is grouped: its outputs do not read all inputs"
    assert compressor.not_refitted(policy) == {**reasons, "depthwise": grouped}
    assert compressor.not_refitted(Policy(weight_bits={"first": 8})) == {}
    unfitted = Compressor(network, images, CompressOptions(refit="none"))
    assert unfitted.not_refitted(policy) == {}
    assert Compressor(network, None, CompressOptions()).not_refitted(policy) == {}


def test_layers_that_share_weights_still_do_when_they_are_pruned_alike():
    torch.manual_seed(0)
    images = torch.randn(16, 3, 12)
    network = trace(Reused().eval(), images[:1])
    compressor = Compressor(network, images, CompressOptions(images=16))
    ratios = {group.name: 0.5 for group in network.groups}
    for densities, tied in (({}, True), ({"one": 0.5, "other": 0.5}, True), ({"one": 0.5}, False)):
        policy = Policy(channels=ratios, weights=densities)
        candidate = compressor.candidate(policy)
        one, other = (weight_of(candidate.get_submodule(name)) for name in ("one", "other"))
        assert (one is other) == tied
        nonzero = sum(int((parameter != 0).sum()) for parameter in candidate.parameters())
        assert compressor.cost_model.cost(policy).params == nonzero


def test_a_norm_over_positions_takes_no_shift_of_a_linear_layer():
    """Behind a linear layer on sequences a batch norm has a number for each position."""
    model = nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 5, bias=False), nn.BatchNorm1d(5)
    )
    images = torch.randn(8, 5, 6)
    network = trace(model.eval(), images[:1])
    calibration = Calibration.sample(network, images, 4, torch.Generator().manual_seed(0))
    assert calibration.norms == {}
