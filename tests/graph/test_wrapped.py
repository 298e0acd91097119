"""Models in wrappers, and weights that are computed from others."""

import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from sartor.compression import mask, narrow
from sartor.errors import TraceError, WeightsError
from sartor.graph import trace

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")


def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten())


class Nested(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.head = nn.Linear(6 * 16, 2)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.compile, lambda model: nn.DataParallel(torch.compile(model))],
)
def test_wrappers_are_taken_off_wherever_they_are(wrap):
    x = torch.randn(1, 3, 8, 8)
    body = plain()
    outside = trace(wrap(body), x)
    assert [layer.name for layer in outside.layers] == ["0", "2"]
    model = Nested(wrap(body))
    inside = trace(model, x)
    assert [layer.name for layer in inside.layers] == ["body.0", "body.2", "head"]
    assert type(model.body) is type(wrap(body))
    with torch.no_grad():
        torch.testing.assert_close(inside.module(x), model.head(body(x)))


# torch deprecates what is refused here
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: torch.jit.script(plain()), "it is TorchScript"),
        (lambda: torch.jit.trace(plain(), torch.ones(1, 3, 8, 8)), "it is TorchScript"),
        (lambda: Nested(torch.jit.script(plain())), "its module 'body' is TorchScript"),
        (
            lambda: torch.export.export(plain(), (torch.ones(2, 3, 8, 8),)).module(),
            "it was made by torch.export",
        ),
        (
            lambda: Nested(torch.export.export(plain(), (torch.ones(2, 3, 8, 8),)).module()),
            "its module 'body' was made by torch.export",
        ),
    ],
)
def test_what_has_no_layers_left_is_refused_by_its_kind(made, reason):
    model = made()
    sentence = f"{type(model).__name__} cannot be traced: {reason}"
    with pytest.raises(TraceError, match=re.escape(sentence)):
        trace(model, torch.ones(1, 3, 8, 8))


def test_what_is_no_module_is_refused():
    with pytest.raises(TraceError, match=r"a function cannot be traced; give a torch\.nn\.Module"):
        trace(plain, torch.ones(1, 3, 8, 8))


@pytest.mark.parametrize("device", ["lazy", "meta"])
def test_weights_without_values_are_refused(device):
    model = nn.LazyConv2d(3, 3) if device == "lazy" else nn.Conv2d(3, 3, 3, device="meta")
    with pytest.raises(WeightsError, match=r"weight of .* has no values yet"):
        trace(model, torch.ones(1, 3, 8, 8))


def test_a_model_that_cannot_be_copied_is_refused():
    class Handle(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.numbers = (number for number in range(3))

        def forward(self, x):
            return self.layer(x)

    with pytest.raises(TraceError, match="Handle cannot be copied: cannot pickle"):
        trace(Handle(), torch.ones(1, 3))


def masked(module):
    prune.random_unstructured(module, "weight", amount=0.5)
    return module


def masked_in_parts(module):
    """A norm of a weight of which a part is masked."""
    weight_norm(module)
    prune.random_unstructured(module, "weight_v", amount=0.5)
    return module


def twice(module):
    parametrize.register_parametrization(module, "weight", nn.Tanh())
    return parametrizations.spectral_norm(module)


WRAPS = [
    weight_norm,
    spectral_norm,
    parametrizations.weight_norm,
    parametrizations.spectral_norm,
    parametrizations.orthogonal,
    masked,
    masked_in_parts,
    twice,
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_computed_weights_become_ordinary_ones_of_the_copy(wrap):
    model = nn.Sequential(
        wrap(nn.Conv2d(3, 8, 3, padding=1)),
        nn.ReLU(),
        wrap(nn.Conv2d(8, 6, 3, padding=1)),
        nn.ReLU(),
        nn.Flatten(),
        wrap(nn.Linear(6 * 64, 3)),
    )
    x = torch.randn(2, 3, 8, 8)
    keys = list(model.state_dict())
    model.train()(x)
    model.eval()
    network = trace(model, x)
    with torch.no_grad():
        torch.testing.assert_close(network.module(x), model(x))
    assert set(network.module.state_dict()) == {
        f"{index}.{name}" for index in (0, 2, 5) for name in ("weight", "bias")
    }
    assert [group.size for group in network.groups] == [8, 6]
    assert list(model.state_dict()) == keys
    assert not any(parameter.requires_grad for parameter in network.module.parameters())
    kept = torch.arange(network.units).numpy() % 2 == 0
    with torch.no_grad():
        torch.testing.assert_close(narrow(network, kept)(x), mask(network, kept)(x))


@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm])
def test_computed_weights_are_those_of_the_present_state(wrap):
    model = nn.Sequential(wrap(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.randn(2, 3)
    other = nn.Sequential(wrap(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 2)).eval()
    model(x)
    model.load_state_dict(other.state_dict())
    network = trace(model, x)
    with torch.no_grad():
        torch.testing.assert_close(network.module(x), other(x))


def test_computed_weights_that_were_tied_stay_so():
    first = parametrizations.weight_norm(nn.Linear(4, 4))
    second = parametrizations.weight_norm(nn.Linear(4, 4))
    second.parametrizations.weight = first.parametrizations.weight
    network = trace(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), torch.randn(1, 4))
    a, b = (network.module.get_submodule(layer.name) for layer in network.layers)
    assert a.weight is b.weight
    assert network.shared == {"2": "0"}


def test_tensors_that_a_module_keeps_of_a_forward_pass_are_no_obstacle():
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.latest = None

        def forward(self, x):
            self.latest = self.layer(x)
            return self.latest.relu()

    model = Remembers()
    model(torch.ones(1, 3))
    assert model.latest.requires_grad
    assert [layer.name for layer in trace(model, torch.ones(1, 3)).layers] == ["layer"]
