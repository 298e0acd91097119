"""Forward passes that look at sizes: what is traced, what is refused, and with which sentence."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sartor.errors import TraceError
from sartor.graph import trace


class Two(nn.Module):
    """Two convolutions and a linear layer; ``between`` stands between the convolutions."""

    def __init__(self, between):
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        self.between = between

    def forward(self, x):
        return self.end(self.between(self, F.relu(self.a(x))))

    def end(self, x):
        return self.head(F.relu(self.b(x)).mean((2, 3)))


def looks_at_everything(net, x):
    assert x.dim() == x.ndim == len(x.shape) == 4
    assert x.shape[1] == 16, "sixteen channels are expected"
    assert x.dtype == torch.float32
    assert x.is_floating_point()
    return x if x.shape[2:] != (5, 5) and not x.is_cuda else x.neg()


def unpacks(net, x):
    n, c, h, w = list(x.shape)
    return x.view(n, c, h * w).view(n, c, h, w)


def stars(net, x):
    return x.reshape(*x.shape[:2], -1).reshape(*x.shape)


def converts(net, x):
    height = round(x.shape[2] * 0.5)
    width = int(x.shape[3] / 2)
    return F.interpolate(x, size=(height, width)) * float(x.shape[1])


def views_with_int(net, x):
    return x.view(x.size(0), int(x.size(1)), x.size(2), x.size(3))


def takes_the_smallest(net, x):
    return F.adaptive_avg_pool2d(x, min(x.shape[2], x.shape[3], 9))


def loops_over_an_axis(net, x):
    return torch.stack([x[:, :, row] for row in range(x.shape[2])], 2)


def loops_over_parts(net, x):
    return torch.cat([part * index for index, part in enumerate(x.unbind(3))], 1)[:, -16:, :, None]


def asks_for_a_batch(net, x):
    assert x.shape[0] >= 1
    return x


def counts_images(net, x):
    return x.view(int(x.shape[0]), 16, x.shape[2], -1)


def measures_the_batch(net, x):
    return x.view(len(x), 16, x.shape[2], -1)


def makes_zeros(net, x):
    return x + torch.zeros(x.shape[0], 16, 1, 1)


def assigns(net, x):
    x[:, 0] = 0
    x[:, 1:3].mul_(2)
    return x


@pytest.mark.parametrize(
    "between",
    [
        looks_at_everything,
        unpacks,
        stars,
        converts,
        views_with_int,
        takes_the_smallest,
        loops_over_an_axis,
        loops_over_parts,
        asks_for_a_batch,
        makes_zeros,
        assigns,
    ],
)
def test_sizes_may_decide_and_the_batch_stays_free(between):
    model = Two(between).eval()
    network = trace(model, torch.randn(1, 3, 10, 12))
    assert {group.name for group in network.groups} >= {"b"}
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 10, 12)
        with torch.no_grad():
            torch.testing.assert_close(network.module(x), model(x))


class Skip(nn.Module):
    """A network that resizes where sizes are odd."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 12, 3, padding=1)
        self.c = nn.Conv2d(20, 4, 3, padding=1)

    def forward(self, x):
        skip = F.relu(self.a(x))
        deep = F.interpolate(F.relu(self.b(F.max_pool2d(skip, 2))), scale_factor=2)
        if deep.shape[2:] != skip.shape[2:]:
            deep = F.interpolate(deep, skip.shape[2:])
        return self.c(torch.cat([skip, deep], 1))


@pytest.mark.parametrize(("side", "resizes"), [(16, 1), (17, 2)])
def test_a_branch_goes_as_it_does_on_the_example(side, resizes):
    model = Skip().eval()
    network = trace(model, torch.randn(1, 3, side, side))
    calls = [node for node in network.module.graph.nodes if node.target is F.interpolate]
    assert len(calls) == resizes
    assert {group.name: group.size for group in network.groups} == {"a": 8, "b": 12}
    x = torch.randn(3, 3, side, side)
    with torch.no_grad():
        assert torch.equal(network.module(x), model(x))


def doubles_one_image(net, x):
    return 2 * x if x.shape[0] == 1 else x


def loops_over_images(net, x):
    return torch.stack(list(x))


def asks_for_the_largest(net, x):
    return x if x.max() > 100 else 2 * x


def asks_for_an_item(net, x):
    return x if x.max().item() > 100 else 2 * x


def catches(net, x):
    try:
        return x if x.max() > 100 else 2 * x
    except Exception:
        return 2 * x


def takes_a_position(net, x):
    return x[:, : 16 + 0 * int(x.argmax())]


def takes_a_mean(net, x):
    return x * float(x.mean())


@pytest.mark.parametrize(
    ("between", "deed"),
    [
        (doubles_one_image, "branches on the batch size"),
        (counts_images, "takes the batch size as a fixed number"),
        (measures_the_batch, "takes the batch size as a fixed number"),
        (loops_over_images, "takes the batch size as a fixed number"),
        (asks_for_the_largest, "branches on the value of a tensor"),
        (asks_for_an_item, "branches on the value of a tensor"),
        (catches, "branches on the value of a tensor"),
        (takes_a_position, "takes the value of a tensor as a fixed number"),
        (takes_a_mean, "takes the value of a tensor as a fixed number"),
    ],
)
def test_what_depends_on_values_or_the_batch_is_refused_with_its_line(between, deed):
    line = between.__code__.co_firstlineno + 1 + (between is catches)
    sentence = f"Two cannot be traced: its forward pass {deed} at {__file__}:{line} ("
    with pytest.raises(TraceError, match=re.escape(sentence)):
        trace(Two(between), torch.randn(1, 3, 8, 8))


def fails(net, x):
    raise RuntimeError("this is mine\nand has two lines")


def test_a_forward_pass_that_fails_by_itself_is_named_with_its_line():
    line = fails.__code__.co_firstlineno + 1
    with pytest.raises(TraceError) as caught:
        trace(Two(fails), torch.randn(1, 3, 8, 8))
    assert str(caught.value) == (
        "Two cannot be traced: its forward pass fails on inputs of shape (1, 3, 8, 8): this is "
        f'mine at {__file__}:{line} (raise RuntimeError("this is mine\\nand has two lines"))'
    )


def test_a_branch_deep_in_a_network_is_reached():
    def deep(net, x):
        for _ in range(1500):
            x = x + 1
        return x if x.shape[1] == 16 else -x

    trace(Two(deep), torch.randn(1, 3, 8, 8))


def test_nothing_is_drawn_from_the_generators_of_the_host():
    def noisy(net, x):
        noise = torch.randn_like(x)
        return x + noise if noise.shape[2] == 8 else x

    model = Two(noisy)
    before = torch.get_rng_state()
    trace(model, torch.zeros(1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_random_inputs_tell_what_an_example_of_zeros_hides():
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3, bias=False)

        def forward(self, x):
            x = self.a(x)
            x[:, :4].relu_()
            return x

    model = Hides().eval()
    network = trace(model, torch.zeros(1, 3, 8, 8))
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.module(x), model(x))


def test_random_inputs_keep_to_the_range_of_the_example():
    class Takes(nn.Module):
        """Fails outside the range, and on any number but the example's."""

        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.a = nn.Linear(4, 8)
            self.b = nn.Linear(8, 2)

        def forward(self, tokens, x):
            return self.b(self.a(self.embed(tokens).mean(1)) + x.sqrt())

    network = trace(Takes().eval(), (torch.tensor([[0, 6, 3]]), torch.rand(1, 8)))
    assert [group.name for group in network.groups] == ["embed"]
    assert [layer.name for layer in network.layers] == ["a", "b"]


def test_a_network_that_gives_nan_on_its_example_is_refused():
    class Roots(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x):
            return self.a(x).sqrt() * float("nan")

    with pytest.raises(TraceError, match=r"Roots cannot be traced: it gives NaN or infinity"):
        trace(Roots(), torch.ones(1, 3))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("image", "str"),
        (3, "int"),
        (torch.tensor(1.0), r"shape \(\)"),
        ([torch.ones(0, 3)], "0, 3"),
    ],
)
def test_examples_that_are_none_are_refused(given, what):
    with pytest.raises(TraceError, match=rf"example inputs must be tensors .*, not .*{what}"):
        trace(nn.Linear(3, 3), given)


def test_an_example_may_be_an_array():
    network = trace(nn.Linear(3, 2), torch.ones(4, 3).numpy())
    assert network.example_inputs[0].shape == (1, 3)
