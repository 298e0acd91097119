"""Norms, tokens and attention: what can be removed, and what it costs."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tokens
from sartor.compression import narrow
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.policy import Policy

#: Sizes of groups, by the ends of their names.
GROUPS = {
    "fused": {"patches": 12, "mixer.qkv": 4, "fc1": 20},
    "by hand": {"patches": 12, "mixer.qkv": 4, "fc1": 20},
    "apart": {"patches": 12, "mixer.q": 5, "mixer.v": 5, "fc1": 20},
    "turned": {"patches": 12, "mixer.q": 3, "mixer.v": 6, "fc1": 20},
    "summed": {"patches": 12, "mixer.q": 5, "mixer.v": 5, "fc1": 20},
    "factorised": {"patches": 12, "mixer.qkv": 4, "fc1": 20},
    "multihead": {"patches": 12, "mixer.inner.in_proj": 4, "fc1": 20},
    "torch's own": {"patches": 12, "self_attn.in_proj": 4, "linear1": 20},
    "convnext": {"stem": 12, "fc1": 24, "down": 4},
    "words": {"words": 12, "mixer.q": 5, "mixer.v": 5, "fc1": 20},
    "root mean square": {
        "patches": 12,
        "mixer.q": 5,
        "mixer.v": 5,
        "mixer.qkv": 4,
        "fc1": 20,
    },
    "image": {"stem": 12, "mix": 6, "out": 8},
}


def traced(name):
    model = tokens.ALL[name]().eval()
    return model, trace(model, tokens.example(name))


@pytest.mark.parametrize("name", tokens.ALL)
def test_the_stream_goes_with_its_norms_and_attention_has_widths(name):
    _, network = traced(name)
    for group in network.groups:
        *_, end = group.name.split("blocks.")
        short = end.lstrip("01.").removeprefix("block.")
        assert group.size == GROUPS[name][short]
    shorts = {group.name.rpartition("blocks.")[2].lstrip("01.") for group in network.groups}
    assert len(shorts) == len(GROUPS[name])
    reasons = {item.reason for item in network.kept_whole}
    assert reasons - {"meets matmul along several axes"} == {"network output"}
    assert network.unknown_operators == ()


def macs_that_run(module, inputs):
    counter = FlopCounterMode(display=False)
    # Fused kernels are not counted.
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        module(inputs)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", tokens.ALL)
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_the_cost_of_a_policy_is_what_runs(name, ratio):
    _, network = traced(name)
    policy = Policy(channels={group.name: ratio for group in network.groups})
    model = CostModel(network)
    counts = model.counts(policy)
    kept = torch.ones(network.units, dtype=torch.bool).numpy()
    for group in network.groups:
        kept[group.units[counts[group.name] :]] = False
    narrower = narrow(network, kept)
    assert model.cost(policy).macs == macs_that_run(narrower, tokens.example(name))


@pytest.mark.parametrize("name", tokens.ALL)
def test_weights_keep_their_names(name):
    model, network = traced(name)
    names = dict(model.named_parameters())
    for key, value in network.module.named_parameters():
        if "in_proj" not in key:
            assert torch.equal(names[key], value)


def test_what_attention_divides_by_stays():
    _, network = traced("apart")
    scales = [
        node.kwargs["scale"]
        for node in network.module.graph.nodes
        if "attention" in str(node.target)
    ]
    assert scales == [5**-0.5, 5**-0.5]


class Batched(nn.Module):
    """Divides by a number that depends on channels and on the batch: no constant."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.a(x)
        return self.b(x / x.numel())


def test_numbers_that_depend_on_the_batch_are_not_fixed():
    model = Batched().eval()
    network = trace(model, torch.randn(1, 4))
    x = torch.randn(5, 4)
    with torch.no_grad():
        assert torch.equal(network.module(x), model(x))
