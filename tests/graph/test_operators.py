"""The registry of effects, and operators from outside."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import topologies
from outside import operators as foreign
from sartor.compression import keep_safe_groups, mask, narrow
from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.graph import (
    LAYERS,
    OPERATORS,
    Effect,
    Operators,
    function_effect,
    module_effect,
    trace,
)
from sartor.policy import Policy


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 12, 3)
        self.norm = foreign.FrozenNorm(12)
        self.spike = foreign.Spike()
        self.b = foreign.Scaled(12, 10, 3)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        x = self.spike(self.norm(self.a(x)))
        return self.head(foreign.swish(self.b(x)).mean((2, 3)))


def test_a_network_of_outside_operators_is_pruned_through():
    network = trace(Net(), torch.randn(1, 3, 8, 8))
    assert {group.name: group.size for group in network.groups} == {"a": 12, "b": 10}
    assert network.unknown_operators == ()
    assert [slot.name for slot in network.slots if slot.kind == "norm"] == ["norm"]
    assert [layer.name for layer in network.layers] == ["a", "b", "head"]
    assert len(keep_safe_groups(network).groups) == 2
    rng = np.random.default_rng(0)
    kept = np.ones(network.units, dtype=np.bool_)
    for group in network.groups:
        kept[rng.permutation(group.units)[:5]] = False
    x = torch.randn(3, 3, 8, 8)
    narrower = narrow(network, kept)
    with torch.no_grad():
        torch.testing.assert_close(narrower(x), mask(network, kept)(x))
        assert not torch.allclose(narrower(x), network.module(x))
    assert narrower.get_submodule("norm").mean.shape == (7,)
    assert narrower.get_submodule("b").weight.shape == (5, 7, 3, 3)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        (topologies.Gated, [6, 7, 8]),
        (topologies.InstanceNormalized, [6, 8, 8]),
    ],
)
def test_gates_instance_norms_and_products_with_weights_are_pruned_through(kind, sizes):
    network = trace(kind().eval(), topologies.example_inputs(kind))
    assert sorted(group.size for group in network.groups) == sizes
    assert network.unknown_operators == ()
    assert keep_safe_groups(network) is network


def test_the_cost_of_outside_operators_is_that_of_their_kind():
    network = trace(Net(), torch.randn(1, 3, 8, 8))
    cost = CostModel(network).cost(Policy())
    assert cost.macs == 36 * 12 * 27 + 16 * 10 * 108 + 40
    assert cost.params == sum(parameter.numel() for parameter in Net().parameters())


def test_a_function_with_the_name_of_one_of_torch_is_not_taken_for_it():
    class Flips(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3)
            self.b = nn.Conv2d(8, 4, 3)

        def forward(self, x):
            return self.b(foreign.add(self.a(x)))

    # It is looked into instead: what it adds is the same the other way round.
    network = trace(Flips(), torch.randn(1, 3, 8, 8))
    (group,) = network.groups
    assert group.size == 4
    assert network.unknown_operators == ()


def test_what_is_declared_wrongly_is_kept_whole():
    class Mixer(nn.Module):
        def forward(self, x):
            return x + x.flip(1)

    name = f"{__name__}.{Mixer.__qualname__}"
    OPERATORS.register(Mixer, Effect.POINTWISE)
    assert name in OPERATORS
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Mixer(), nn.Conv2d(8, 4, 3))
    network = trace(model, torch.randn(1, 3, 8, 8))
    assert [group.name for group in network.groups] == ["0"]
    assert keep_safe_groups(network).groups == ()


def test_layers_must_be_of_torch():
    operators = Operators("operator")
    with pytest.raises(
        UsageError, match=r"outside\.operators\.FrozenNorm cannot be Effect\.MIX: only sub"
    ):
        operators.register(foreign.FrozenNorm, Effect.MIX)
    with pytest.raises(UsageError, match=r"outside\.operators\.swish cannot be Effect\.MIX"):
        operators.register(foreign.swish, Effect.MIX)
    operators.register(foreign.Scaled, Effect.MIX)
    assert operators.effect("outside.operators.Scaled") is Effect.MIX


def test_an_operator_is_declared_once():
    with pytest.raises(UsageError, match=r"operator 'nn\.ReLU' is there already"):
        OPERATORS.register(nn.ReLU, Effect.FREE)
    with pytest.raises(UsageError, match="operator 'relu' is there already"):
        OPERATORS.register(torch.relu, Effect.FREE)


@pytest.mark.parametrize(
    ("operator", "effect"),
    [
        (torch.relu, Effect.POINTWISE),
        (F.relu, Effect.POINTWISE),
        (torch.Tensor.relu, Effect.POINTWISE),
        (torch.cat, Effect.MOVE),
        (F.max_pool2d, Effect.SPATIAL),
        (F.layer_norm, Effect.FREE),
        (F.conv2d, Effect.UNKNOWN),
        (torch.matmul, Effect.PRODUCT),
        (getattr, Effect.SIZE),
        (nn.Conv2d, Effect.MIX),
        (nn.ConvTranspose2d, Effect.UNKNOWN),
        (nn.LSTM, Effect.UNKNOWN),
        (nn.Embedding, Effect.EMBED),
        (foreign.add, Effect.UNKNOWN),
    ],
)
def test_effects_by_object(operator, effect):
    assert OPERATORS.effect(operator) is effect


def test_effects_by_name_and_of_modules():
    assert function_effect("view") is Effect.MOVE
    assert function_effect("relu_") is Effect.UNKNOWN
    assert module_effect(nn.PReLU()) is Effect.SCALE

    class Mine(nn.ReLU):
        pass

    assert module_effect(Mine()) is Effect.UNKNOWN


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_mixes(layer):
    assert OPERATORS.effect(layer) is Effect.MIX


def test_every_module_of_the_table_is_one_of_torch():
    named = [name.removeprefix("nn.") for name in OPERATORS if name.startswith("nn.")]
    assert len(named) > 40
    assert all(issubclass(getattr(nn, name), nn.Module) for name in named)


def test_every_function_of_the_table_is_one_of_torch_or_python():
    import math
    import operator

    places = (torch, F, torch.Tensor, operator, math, torch._C._nn, torch._C._linalg)
    for name in OPERATORS:
        known = any(hasattr(place, name) for place in places)
        assert known or "." in name or name in ("len", "getattr"), name
