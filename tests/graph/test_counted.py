"""Whatever multiplies is counted, or named as not counted: held against torch's own counter."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import topologies
from sartor.cost import CostModel
from sartor.graph import trace


def macs_that_run(model, inputs):
    """Multiply-accumulates that torch's dispatcher sees, whatever calls them."""
    counter = FlopCounterMode(display=False)
    # Fused kernels are not counted.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return counter.get_total_flops() // 2


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.middle(F.relu(self.a(x))).mean((2, 3)))

    def middle(self, x):
        return self.b(x)


class FunctionalConvolution(Base):
    def middle(self, x):
        return F.conv2d(x, self.b.weight)


class FunctionalLinear(Base):
    def middle(self, x):
        return F.linear(self.b(x).transpose(1, -1), self.head.weight[:, :6]).transpose(1, -1)

    def forward(self, x):
        return self.middle(F.relu(self.a(x))).mean((2, 3))


class Transposed(Base):
    def __init__(self):
        super().__init__()
        self.b = nn.ConvTranspose2d(8, 6, 3)


class Recurrent(Base):
    def __init__(self):
        super().__init__()
        self.b = nn.LSTM(8, 6, batch_first=True)

    def middle(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.b(tokens)[0].transpose(1, 2)[..., None]


class Attending(Base):
    def __init__(self):
        super().__init__()
        self.b = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 4)

    def middle(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.b(tokens, tokens, tokens)[0].transpose(1, 2)[..., None]


class Transformer(Base):
    def __init__(self):
        super().__init__()
        self.b = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 4)

    def middle(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.b(tokens).transpose(1, 2)[..., None]


class Einstein(Base):
    def middle(self, x):
        return torch.einsum("bchw,dc->bdhw", x, self.b.weight[:, :, 0, 0])


class Products(Base):
    def middle(self, x):
        tokens = x.flatten(2)
        return self.b(torch.bmm(tokens @ tokens.transpose(1, 2), tokens).view_as(x))


class Bilinear(Base):
    def __init__(self):
        super().__init__()
        self.b = nn.Bilinear(8, 8, 6)

    def middle(self, x):
        pixels = x.permute(0, 2, 3, 1)
        return self.b(pixels, pixels).permute(0, 3, 1, 2)


class OwnConvolution(nn.Conv2d):
    """A subclass that computes something of its own."""

    def forward(self, x):
        return super().forward(x) * 2


class Subclass(Base):
    def __init__(self):
        super().__init__()
        self.b = OwnConvolution(8, 6, 3)


class SpreadChannels(Base):
    """A layer that reads channels that were spread over pixels is counted."""

    def __init__(self):
        super().__init__()
        self.b = nn.Conv2d(2, 6, 3)

    def middle(self, x):
        return self.b(F.pixel_shuffle(x, 2))


class OfConstants(Base):
    """A layer that reads only parameters runs too."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(5, 6)
        self.place = nn.Parameter(torch.randn(1, 5))

    def middle(self, x):
        return self.b(x) + self.scores(self.place)[:, :, None, None]


class OfFlags(Base):
    """A layer that reads numbers made of whole numbers runs too."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(5, 6)
        self.register_buffer("flags", torch.arange(5)[None])

    def middle(self, x):
        return self.b(x) + self.scores(self.flags.float())[:, :, None, None]


class Transposes(Base):
    """A layer behind an attribute of a tensor."""

    def middle(self, x):
        return self.b(x.mT)


class Repeated(Base):
    """One layer at two sizes."""

    def __init__(self):
        super().__init__()
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def middle(self, x):
        return self.b(F.max_pool2d(self.b(x), 2))


class Tied(Base):
    """Two layers with one weight both run."""

    def __init__(self):
        super().__init__()
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1)
        self.c.weight = self.b.weight
        self.head = nn.Linear(8, 4)

    def middle(self, x):
        return self.c(F.relu(self.b(x)))


KINDS = [
    *topologies.ALL,
    Base,
    FunctionalConvolution,
    FunctionalLinear,
    Transposed,
    Recurrent,
    Attending,
    Transformer,
    Einstein,
    Products,
    Bilinear,
    Subclass,
    SpreadChannels,
    OfConstants,
    OfFlags,
    Transposes,
    Repeated,
    Tied,
]
NAMED = {
    Transposed: ("b (ConvTranspose2d)",),
    Recurrent: ("b (LSTM)",),
    Einstein: ("einsum",),
    Bilinear: ("b (Bilinear)",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_multiplies_is_counted_or_named(kind):
    inputs = topologies.example_inputs(kind)
    network = trace(kind(), inputs)
    counted = CostModel(network).original.macs
    assert network.unknown_operators == NAMED.get(kind, ())
    # What is not known is counted by what runs; torch's own counter does not see all.
    assert counted == macs_that_run(kind(), inputs)


def test_layers_with_one_weight_have_one_set_of_channels():
    network = trace(Tied(), topologies.example_inputs(Tied))
    assert network.shared == {"c": "b"}
    first = network.slot_by_name["b"]
    second = network.slot_by_name["c"]
    assert first.in_units.tolist() == second.in_units.tolist()
    assert first.out_units.tolist() == second.out_units.tolist()
    (group,) = network.groups
    assert group.size == 8


def test_layers_that_share_weights_with_no_layer_are_kept_whole():
    class Words(nn.Module):
        """The classifier has the weights of the embedding."""

        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(11, 6)
            self.a = nn.Linear(6, 8)
            self.b = nn.Linear(8, 6)
            self.out = nn.Linear(6, 11)
            self.out.weight = self.embed.weight

        def forward(self, tokens):
            return self.out(self.b(self.a(self.embed(tokens).mean(1))))

    network = trace(Words(), torch.tensor([[1, 2, 3]]))
    assert {group.name: group.size for group in network.groups} == {"a": 8}
    reasons = {item.layer: item.reason for item in network.kept_whole}
    assert reasons["b"] == "shares weights with embed"
