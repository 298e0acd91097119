"""The interpreter of traced networks against torch's own, and what it keeps."""

import pytest
import torch
from torch import fx, nn

import topologies
from sartor.graph import Walk, walk


class Branches(nn.Module):
    """Two branches that are added: x → a → b, and x → c."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.c = nn.Linear(3, 3)

    def forward(self, x, scale=2.0):
        return self.b(self.a(x)) + self.c(x) * scale


@pytest.fixture
def network():
    return fx.symbolic_trace(Branches())


@pytest.fixture
def inputs():
    return (torch.randn(2, 3),)


def names(nodes):
    return [node.name for node in nodes]


@pytest.mark.parametrize("kind", topologies.ALL)
def test_every_network_gives_what_it_gives_by_itself(kind):
    model = topologies.randomized(kind())
    inputs = topologies.example_inputs(kind, batch=2)
    with torch.no_grad():
        expected = model(*inputs)
    network = fx.symbolic_trace(model)
    actual = walk(network, inputs, lambda node, value: None)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_an_input_that_is_not_given_has_its_default(network, inputs):
    with torch.no_grad():
        assert torch.equal(Walk(network, inputs).run(), network(*inputs, 2.0))
        assert torch.equal(Walk(network, (*inputs, 3.0)).run(), network(*inputs, 3.0))
        assert not torch.equal(network(*inputs, 2.0), network(*inputs, 3.0))


def test_a_value_is_dropped_after_its_last_use(network, inputs):
    run = Walk(network, inputs)
    held = {}
    run.run(lambda node, value: held.setdefault(node.name, names(run.values)))
    assert held["b"] == ["x", "scale", "a", "b"]
    assert held["c"] == ["x", "scale", "b", "c"]
    assert held["add"] == ["b", "mul", "add"]
    assert names(run.values) == ["output"]
    a = next(node for node in network.graph.nodes if node.name == "a")
    with pytest.raises(KeyError, match="the value of a was dropped after its last use"):
        run.value(a)


def test_all_values_are_kept_if_asked_for(network, inputs):
    run = Walk(network, inputs, keep=True)
    run.run()
    assert names(run.values) == names(network.graph.nodes)


def test_a_visitor_may_exchange_the_modules_that_come_later(network, inputs):
    def exchange(node, value):
        if node.name == "a":
            network.b = nn.Identity()

    a, c = network.a, network.c
    with torch.no_grad():
        assert torch.equal(walk(network, inputs, exchange), a(*inputs) + c(*inputs) * 2)


def test_a_value_asked_for_early_is_computed_once(network, inputs):
    calls = []

    class Early(Walk):
        def call(self, node, args, kwargs):
            calls.append(node.name)
            if node.name == "a":
                self.value(next(each for each in network.graph.nodes if each.name == "mul"))
            return super().call(node, args, kwargs)

    with torch.no_grad():
        assert torch.equal(Early(network, inputs).run(), network(*inputs))
    assert calls == ["a", "c", "mul", "b", "add", "output"]


def test_only_what_a_replaced_module_can_change_runs_again(network, inputs):
    with torch.no_grad():
        first = Walk(network, inputs, keep=True)
        first.run()
        again = Walk(network, (), known=first.values, replaced={"b": nn.Identity()})
        ran = []
        result = again.run(lambda node, value: ran.append(node.name))
        assert ran == ["b", "add", "output"]
        assert torch.equal(result, network.a(*inputs) + network.c(*inputs) * 2)
        unchanged = Walk(network, (), known=first.values)
        assert torch.equal(unchanged.run(), network(*inputs))
        assert not unchanged.values
