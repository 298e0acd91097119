"""Norms, tokens and attention: what can be removed, and what it costs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tokens
from sartor.compression import keep_safe_groups, mask, narrow
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.policy import Policy

#: Sizes of groups, by the ends of their names.
FUSED = {"patches": 12, "mixer.qkv": 4, "mixer.qkv#heads": 3, "fc1": 20}
#: Two queries read each key.
APART = {"patches": 12, "mixer.q": 5, "mixer.q#heads": 2, "mixer.v": 5, "fc1": 20}
GROUPS = {
    "fused": FUSED,
    "by hand": FUSED,
    "apart": APART,
    "turned": {**APART, "mixer.q": 3, "mixer.v": 6},
    "summed": APART,
    "factorised": FUSED,
    "biased": FUSED,
    "biased whole": FUSED,
    "shared": APART,
    "one key": {"patches": 12, "mixer.q": 5, "mixer.q#heads": 4, "mixer.kv": 5, "fc1": 20},
    "windows": FUSED,
    "multihead": {
        "patches": 12,
        "mixer.inner.in_proj": 4,
        "mixer.inner.in_proj#heads": 3,
        "fc1": 20,
    },
    "torch's own": {
        "patches": 12,
        "self_attn.in_proj": 4,
        "self_attn.in_proj#heads": 3,
        "linear1": 20,
    },
    "convnext": {"stem": 12, "fc1": 24, "down": 4},
    "convolutional": {"stem": 12, "qkv": 2, "qkv#heads": 3, "qkv#2": 4},
    "words": {**APART, "words": 12},
    "root mean square": {**APART, **FUSED},
    "image": {"stem": 12, "mix": 6, "out": 8},
}
del GROUPS["words"]["patches"]


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
    within = {
        "meets matmul along several axes",
        "meets normalize, which sartor does not prune through",
    }
    assert reasons - within == {"network output"}
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


class Sized(nn.Module):
    """Divides by numbers that depend on channels, on the batch, and on the size of images."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1), nn.Linear(6, 2)

    def forward(self, x):
        x = self.a(x)
        x = self.b(x / x.shape[1] + x / (x.shape[1] * x.shape[2]) + x / x.numel())
        return self.head(x.mean((2, 3)) * x.size(1) ** 0.5)


def test_sizes_that_are_computed_with_are_those_of_the_original():
    model = Sized().eval()
    network = trace(model, torch.randn(1, 3, 6, 6))
    assert {group.name: group.size for group in network.groups} == {"a": 8, "b": 6}
    assert keep_safe_groups(network) is network
    kept = np.ones(network.units, dtype=bool)
    kept[[0, 3, 9]] = False
    for shape in ((1, 3, 6, 6), (4, 3, 9, 5)):
        x = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(network.module(x), model(x))
            torch.testing.assert_close(narrow(network, kept)(x), mask(network, kept)(x))
