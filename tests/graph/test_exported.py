"""Forward passes that torch.fx cannot follow, and functions that are given weights."""

import dataclasses
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sartor.compression import fold, keep_safe_groups, mask, narrow
from sartor.errors import TraceError
from sartor.graph import trace


def assert_the_same(model, network, *shape, batches=(1, 2, 5)):
    for batch in batches:
        x = torch.randn(batch, *shape)
        with torch.no_grad():
            torch.testing.assert_close(network.module(x), model(x))


def groups_of(network):
    return {group.name: group.size for group in network.groups}


class AnyArguments(nn.Module):
    """Takes whatever it is given."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, *args, flag=True, **kwargs):
        x = args[0] if isinstance(args[0], torch.Tensor) else kwargs["x"]
        return self.b(F.relu(self.a(x))) if flag else x


def test_arguments_may_have_no_names():
    model = AnyArguments().eval()
    network = trace(model, torch.randn(1, 3, 8, 8))
    assert groups_of(network) == {"a": 8}
    assert_the_same(model, network, 3, 8, 8)


class Named(nn.Module):
    """Takes what it reads by name, and sees to what is not given."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, images=None, mask=None, *, shift=None, scale=None, power=2):
        if images is None:
            raise ValueError("give images")
        x = F.relu(self.a(images))
        x = x if shift is None else x + shift[:, None, None, None]
        x = x if scale is None else x * scale[:, None, None, None]
        return self.b(x**power) if mask is None else self.b(x) * mask


class AnyNames(Named):
    """The same, and whatever else it is given."""

    def forward(self, images, *, scale=None, **others):
        return super().forward(images, scale=scale, **others)


@pytest.mark.parametrize("kind", [Named, AnyNames])
def test_inputs_may_be_given_by_name(kind):
    model = kind().eval()
    network = trace(model, {"scale": torch.rand(1), "images": torch.randn(1, 3, 8, 8)})
    assert groups_of(network) == {"a": 8}
    assert set(network.input_names) == {"scale", "images"}
    for batch in (1, 2, 5):
        given = {"images": torch.randn(batch, 3, 8, 8), "scale": torch.rand(batch)}
        with torch.no_grad():
            torch.testing.assert_close(network.module(**given), model(**given))
            in_order = network.module(*(given[name] for name in network.input_names))
            torch.testing.assert_close(in_order, model(**given))


def test_the_size_of_images_is_free():
    model = Named().eval()
    network = trace(model, {"scale": torch.rand(1), "images": torch.randn(1, 3, 8, 8)})
    for height, width in ((5, 9), (16, 4)):
        given = {"images": torch.randn(2, 3, height, width), "scale": torch.rand(2)}
        with torch.no_grad():
            torch.testing.assert_close(network.module(**given), model(**given))


class Split(nn.Module):
    """Takes images apart in places that follow from their size, whatever that is."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, *images):
        x = F.relu(self.a(images[0]))
        b, c, h, w = x.shape
        x = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, c, 4, -1)
        return self.b(x)


def test_sizes_that_are_computed_with_are_free():
    model = Split().eval()
    network = trace(model, torch.randn(1, 3, 8, 8))
    assert groups_of(network) == {"a": 8}
    assert keep_safe_groups(network) is network
    assert_the_same(model, network, 3, 12, 6)


def test_names_that_the_forward_pass_lacks_are_refused():
    with pytest.raises(TraceError, match=r"Named has no argument 'image'; it has images, mask"):
        trace(Named(), {"image": torch.randn(1, 3, 8, 8)})


@dataclasses.dataclass
class Output:
    scores: torch.Tensor
    features: tuple[torch.Tensor, ...]
    loss: torch.Tensor | None = None


class Windows(nn.Module):
    """Shifts what it reads and adds a mask that it writes region by region."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.roll(F.relu(self.a(x)), (1, 1), (2, 3))
        regions = x.new_zeros(x.shape[2:])
        for number, rows in enumerate((slice(0, -2), slice(-2, None))):
            regions[rows, :] = number
        counts = torch.zeros(x.shape[0], 1, 8, 8)
        x = F.relu(self.b(x + regions + counts))
        return {"scores": self.head(x.mean((2, 3))), "map": (x[:, :0], None)}


def test_masks_are_written_once_and_outputs_nested_as_they_were():
    model = Windows().eval()
    network = trace(model, torch.randn(1, 3, 8, 8))
    names = {str(node.target) for node in network.module.graph.nodes}
    assert not {"fill", "slice_scatter", "new_zeros"} & names
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        mine, theirs = network.module(x), model(x)
    torch.testing.assert_close(mine["scores"], theirs["scores"])
    assert mine["map"][0].shape == theirs["map"][0].shape
    assert mine["map"][1] is None
    assert groups_of(network)["a"] == 8


class NormWithActivation(nn.BatchNorm2d):
    """As image models have it: a batch norm by its function, and an activation inside."""

    def __init__(self, width):
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, x):
        x = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )
        return self.act(x)


class Standardized(nn.Conv2d):
    """A convolution whose weights are computed."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Doubled(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight, self.bias) * 2


class Columns(nn.Module):
    """A linear layer with a column for each output, and its own names."""

    def __init__(self):
        super().__init__()
        self.matrix, self.shift = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x):
        return torch.addmm(self.shift, x, self.matrix)


class Functions(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 12, 3, bias=False), NormWithActivation(12)
        self.b, self.c = Standardized(12, 10, 3), Doubled(10, 6)
        self.columns = Columns()
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = F.relu(self.b(self.norm(self.a(x))))
        return self.columns(F.relu(self.c(x.mean((2, 3)))))


def test_functions_with_weights_are_layers_under_their_own_names():
    model = Functions().eval()
    network = trace(model, torch.randn(1, 3, 10, 10))
    assert groups_of(network) == {"a": 12, "b.computed": 10, "c": 6}
    assert [layer.name for layer in network.layers] == ["a", "b.computed", "c", "columns.computed"]
    assert network.unknown_operators == ()
    assert network.slot_by_name["norm"].kind == "norm"
    assert_the_same(model, network, 3, 10, 10)
    mine = network.module.state_dict()
    for name, value in model.state_dict().items():
        if name.startswith(("a.", "norm.", "c.")):
            assert torch.equal(mine[name], value)


class Same(nn.Module):
    """One matrix in two functions, called in turns."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(6, 6))
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = F.relu(F.linear(self.a(x), self.matrix))
        return self.b(F.relu(F.linear(x, self.matrix)))


def test_one_weight_of_several_functions_is_one_layer():
    model = Same().eval()
    network = trace(model, torch.randn(1, 4))
    assert [layer.name for layer in network.layers] == ["a", "matrix_layer", "b"]
    assert groups_of(network) == {"a": 6}
    assert_the_same(model, network, 4)


class Unequal(nn.Module):
    """Halves of a tensor that are used differently, in lists that grow."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.c, self.head = nn.Conv2d(24, 12, 1), nn.Linear(12, 4)

    def forward(self, x):
        parts = list(F.relu(self.a(x)).chunk(2, 1))
        parts.append(F.relu(self.b(parts[-1])))
        return self.head(F.relu(self.c(torch.cat(parts, 1))).mean((2, 3)))


@pytest.mark.parametrize("seed", range(20))
def test_halves_may_lose_different_numbers(seed):
    import numpy as np

    model = Unequal().eval()
    network = trace(model, torch.randn(1, 3, 6, 6))
    assert keep_safe_groups(network) is network
    rng = np.random.default_rng(seed)
    kept = np.ones(network.units, dtype=bool)
    for group in network.groups:
        kept[rng.permutation(group.units)[rng.integers(1, group.size + 1) :]] = False
    x = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(narrow(network, kept)(x), mask(network, kept)(x))


class Asserts(nn.Module):
    """Checks the values of its own tensors."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        x = self.a(x)
        torch._assert(x.abs().max() < 1e3, "too large")
        return self.b(x)


def test_checks_of_values_end_no_run_of_a_candidate():
    network = trace(Asserts().eval(), torch.randn(1, 3, 8, 8))
    assert groups_of(network) == {"a": 8}
    with torch.no_grad():
        network.module(1e6 * torch.randn(1, 3, 8, 8))


class Reads(nn.Module):
    """Takes arguments without names, and branches on a value."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, *args):
        x = self.a(*args)
        try:
            return x if float(x.sum()) > 1e4 else -x
        except Exception:
            return x


def test_a_value_that_is_asked_for_is_named_with_its_line_whoever_traces():
    line = Reads.forward.__code__.co_firstlineno + 3
    sentence = (
        "Reads cannot be traced: its forward pass takes the value of a tensor as a fixed number "
        f"at {__file__}:{line} ("
    )
    with pytest.raises(TraceError, match=re.escape(sentence)):
        trace(Reads(), torch.randn(1, 3))


def test_what_a_norm_holds_outlives_it():
    model = Functions().eval()
    network = trace(model, torch.randn(1, 3, 10, 10))
    x = torch.randn(2, 3, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(fold(network.module)(x), model(x), rtol=1e-4, atol=1e-5)


class Images(nn.Module):
    """Takes images one by one."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, *args):
        return torch.stack([self.a(image) for image in args[0]])


def test_what_is_written_for_one_batch_size_is_refused_without_a_word_beside(capfd):
    with pytest.raises(TraceError, match="Images cannot be traced: its forward pass takes the bat"):
        trace(Images(), torch.randn(1, 3))
    with pytest.raises(TraceError, match="Reads cannot be traced"):
        trace(Reads(), torch.randn(1, 3))
    assert capfd.readouterr() == ("", "")
