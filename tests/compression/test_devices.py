"""Candidates on another device are those of the CPU, and nothing mixes devices."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from sartor.compression import (
    CompressOptions,
    Compressor,
    deployable,
    device_of,
    network_on,
    on_device,
)
from sartor.compression.modules import with_own_graph
from sartor.errors import UsageError
from sartor.graph import differ, trace
from sartor.machine import CPU
from sartor.policy import Policy
from sartor.testing import example_network

#: Of delivered networks: largest difference between outputs, relative to the largest output.
TOLERANCE = 1e-3

OPTIONS = {
    "refitted on pruned inputs": CompressOptions(images=32),
    "refitted on original inputs": CompressOptions(images=32, refit="original", select="magnitude"),
    "fewer samples than inputs": CompressOptions(images=2, final_images=2, positions=1),
    # Chosen by size: by errors on two samples most are as good as another, and rounding decides.
    "no ridge": CompressOptions(
        select="magnitude", images=2, final_images=2, positions=1, ridge=0.0
    ),
    "batch norms": CompressOptions(images=32, batchnorm=True, ranges="mse"),
    "not refitted": CompressOptions(images=32, refit="none", ranges="percentile"),
}


@pytest.fixture(scope="module")
def example():
    network, _ = example_network()
    generator = torch.Generator().manual_seed(0)
    return network, torch.randn(64, 3, 16, 16, generator=generator)


def policies(network):
    layers = [layer.name for layer in network.layers]
    halves = {group.name: 0.5 for group in network.groups}
    bits = dict.fromkeys(layers[1:], 8)
    return {
        "channels": Policy(channels=halves),
        "weights": Policy(weights=dict.fromkeys(layers[1:3], 0.3)),
        "bits": Policy(channels=halves, weight_bits=bits, activation_bits=bits),
    }


def both(example, gpu, options):
    """What builds candidates on the CPU, and on the device."""
    network, images = example
    there = network_on(network, gpu)
    here = Compressor(network, images, options)
    return here, Compressor(there, images.to(gpu), options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", ["channels", "weights", "bits"])
def test_candidates_are_those_of_the_cpu(example, gpu, options, kind):
    network, images = example
    policy = policies(network)[kind]
    here, there = both(example, gpu, options)
    expected = here.candidate(policy, final=True)
    found = there.candidate(policy, final=True)
    assert {tensor.device for tensor in found.state_dict().values()} == {gpu}

    brought = on_device(found, CPU)
    # Of rounded numbers some may fall to the other side.
    allowed = 0.05 if kind == "bits" else TOLERANCE
    assert not differ(brought(images), expected(images), allowed)


def test_candidates_of_a_search_are_too(example, gpu):
    network, images = example
    here, there = both(example, gpu, CompressOptions(images=32))
    for policy in policies(network).values():
        expected = here.candidate(policy)
        found = on_device(there.candidate(policy), CPU)
        # The CPU may fit them in bf16.
        assert not differ(found(images), expected(images), 0.25)


def test_the_ranking_is_the_same(example, gpu):
    here, there = both(example, gpu, CompressOptions(images=32))
    for name, order in here.ranking.order.items():
        assert np.array_equal(there.ranking.order[name], order)
        assert there.ranking.errors[name] == pytest.approx(here.ranking.errors[name], rel=1e-2)


def test_so_is_a_candidate_without_images(example, gpu):
    network, images = example
    policy = policies(network)["channels"]
    expected = Compressor(network, None, CompressOptions()).candidate(policy)
    found = Compressor(network_on(network, gpu), None, CompressOptions()).candidate(policy)
    assert not differ(on_device(found, CPU)(images), expected(images), TOLERANCE)


def test_errors_of_weights_and_bits_are_the_same(example, gpu):
    here, there = both(example, gpu, CompressOptions(images=32))
    shares = np.array([0.2, 0.5, 1.0])
    bits = [(8, 8), (4, 8)]
    for layer in here.network.layers[:3]:
        expected = here.weight_errors(layer.name, shares)
        assert there.weight_errors(layer.name, shares) == pytest.approx(expected, rel=1e-2)
        expected = here.precision_errors(layer.name, bits)
        assert there.precision_errors(layer.name, bits) == pytest.approx(expected, rel=1e-2)


def test_what_is_deployed_is_on_the_cpu(example, gpu):
    network, images = example
    _, there = both(example, gpu, CompressOptions(images=32))
    for policy in policies(network).values():
        candidate = there.candidate(policy)
        ready = deployable(candidate)
        assert device_of(ready) == CPU
        outputs = candidate(images.to(gpu))
        assert not differ(ready(images), outputs.cpu(), TOLERANCE)


def test_shared_tensors_stay_shared(gpu):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x).relu())

    network = trace(Twice(), torch.zeros(1, 4))
    module = on_device(network.module, gpu)
    assert module.get_parameter("first.weight") is module.get_parameter("second.weight")
    assert device_of(network.module) == CPU


def test_tensors_that_a_forward_pass_makes_are_made_there(gpu):
    class Makes(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 6)
            self.second = nn.Linear(6, 2)
            self.plain = torch.full((6,), 0.5)

        def forward(self, x):
            steps = torch.arange(6) + torch.zeros(6, device=x.device)
            return self.second(self.first(x) * steps + self.plain)

    network = trace(Makes(), torch.ones(1, 4))
    x = torch.randn(3, 4)
    expected = network.module(x)
    there = network_on(network, gpu)
    found = there.module(x.to(gpu))
    assert found.device == gpu
    assert not differ(found.cpu(), expected, TOLERANCE)
    # And back again, for a runtime.
    assert not differ(deployable(there.module)(x), expected, TOLERANCE)


def test_a_network_that_cannot_run_there_is_refused(gpu):
    class Leaves(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x.cpu())

    network = trace(Leaves(), torch.ones(1, 4))
    with pytest.raises(UsageError, match=r"^the network cannot run on '.*:0': .*device='cpu'"):
        network_on(network, gpu)


def test_a_network_that_computes_something_else_there_is_refused(gpu):
    network = trace(nn.Linear(4, 4), torch.ones(1, 4))
    module, _ = with_own_graph(network.module)
    end = module.graph.output_node()
    with module.graph.inserting_before(end):
        changed = module.graph.call_function(_one_more_elsewhere, end.args)
    end.args = (changed,)
    module.recompile()
    with pytest.raises(UsageError, match="computes something else"):
        network_on(dataclasses.replace(network, module=module), gpu)


def _one_more_elsewhere(x):
    return x if x.device == CPU else x + 1
