"""Slicing through norms and attention, against networks that are masked."""

import numpy as np
import pytest
import torch

import tokens
from sartor import load
from sartor.compression import (
    CompressOptions,
    Compressor,
    Origin,
    keep_safe_groups,
    mask,
    narrow,
    save_network,
)
from sartor.compression.slicing import widen
from sartor.errors import RunError
from sartor.graph import trace
from sartor.policy import Policy


def random_kept(network, rng):
    kept = np.ones(network.units, dtype=bool)
    for group in network.groups:
        kept[rng.permutation(group.units)[rng.integers(1, group.size + 1) :]] = False
    return kept


@pytest.mark.parametrize("name", tokens.ALL)
def test_sliced_networks_are_masked_ones(name):
    model = tokens.ALL[name]().eval()
    network = trace(model, tokens.example(name))
    assert keep_safe_groups(network) is network
    for seed in range(8):
        kept = random_kept(network, np.random.default_rng(seed))
        x = tokens.example(name, batch=3, seed=seed)
        with torch.no_grad():
            narrower = narrow(network, kept)
            torch.testing.assert_close(narrower(x), mask(network, kept)(x), rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(network.module(x), model(x))
        assert sum(map(len, narrower.parameters())) < sum(map(len, model.parameters()))


def test_texts_may_be_of_any_length():
    model = tokens.ALL["words"]().eval()
    network = trace(model, tokens.example("words"))
    kept = random_kept(network, np.random.default_rng(0))
    for length in (2, 5, 30):
        words = torch.randint(0, 50, (3, length))
        with torch.no_grad():
            torch.testing.assert_close(network.module(words), model(words))
            masked = mask(network, kept)(words)
            torch.testing.assert_close(narrow(network, kept)(words), masked, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", tokens.ALL)
def test_a_saved_network_is_loaded_into_other_weights(name, tmp_path):
    torch.manual_seed(0)
    network = trace(tokens.ALL[name]().eval(), tokens.example(name))
    compressor = Compressor(network, None, CompressOptions())
    policy = Policy(channels={group.name: 0.5 for group in network.groups})
    candidate = compressor.candidate(policy)
    kept = compressor.kept(policy)
    save_network(tmp_path, network, candidate, policy, kept=kept, origin=Origin())
    again = load(tmp_path, tokens.ALL[name]().eval())
    x = tokens.example(name, batch=2)
    with torch.no_grad():
        torch.testing.assert_close(again(x), candidate(x), rtol=1e-5, atol=1e-6)


def test_norms_over_channels_cannot_be_widened():
    network = trace(tokens.ALL["fused"]().eval(), tokens.example("fused"))
    kept = np.ones(network.units, dtype=bool)
    kept[network.groups[0].units[:3]] = False
    sentence = r"cannot be widened: the norm blocks\.0\.norm1 takes its statistics over channels"
    with pytest.raises(RunError, match=sentence):
        widen(network, narrow(network, kept), kept)
