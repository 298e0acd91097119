"""Grouped and depthwise convolutions: every group is fitted as a layer of its own."""

import pytest
import torch
from torch import nn

from sampled import sampled_outputs
from sartor.compression import CompressOptions, Compressor
from sartor.compression.refitting._least_squares import least_squares
from sartor.compression.refitting._matrix import as_matrix
from sartor.graph import trace
from sartor.policy import Policy


def mobile(groups, bias=False):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 24, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU6(),
        nn.Conv2d(24, 24, 3, stride=2, padding=1, groups=groups, bias=bias),
        nn.BatchNorm2d(24),
        nn.ReLU6(),
        nn.Conv2d(24, 8, 1),
    ).eval()


@pytest.mark.parametrize("bias", [False, True])
def test_each_channel_of_a_depthwise_layer_is_solved_by_itself(bias):
    network = trace(mobile(24, bias), torch.zeros(1, 3, 12, 12))
    images = torch.randn(20, 3, 12, 12)
    options = CompressOptions(images=20, positions=36, ridge=0.01)
    compressor = Compressor(network, images, options)
    policy = Policy(channels={group.name: 0.75 for group in network.groups})
    kept = compressor.kept(policy)
    candidate = compressor.candidate(policy)

    layer = candidate.get_submodule("3")
    left = kept[network.slot_by_name["3"].out_units].nonzero()[0]
    calibration = compressor.refitter.calibration
    wanted = sampled_outputs(calibration, "3")[:, torch.from_numpy(left)]
    before = as_matrix(network.module.get_submodule("3").weight)[torch.from_numpy(left)]

    read = images
    for name in ("0", "1", "2"):
        read = candidate.get_submodule(name)(read)
    windows = calibration.windows("3", layer, read).view(len(wanted), 9, len(left))
    for channel in range(len(left)):
        x = windows[:, :, channel]
        y = wanted[:, channel : channel + 1]
        x = x - x.mean(0)
        y = y - y.mean(0)
        fitted = least_squares(x.T @ x, x.T @ y, before[channel : channel + 1], options.ridge)
        found = as_matrix(layer.weight)[channel : channel + 1]
        assert torch.allclose(found, fitted, atol=2e-3)  # it ran in bf16


@pytest.mark.parametrize("groups", [24, 4])
def test_a_pruned_network_is_closer_with_its_grouped_layers_fitted(groups, monkeypatch):
    network = trace(mobile(groups), torch.zeros(1, 3, 12, 12))
    images = torch.randn(64, 3, 12, 12)
    others = torch.randn(64, 3, 12, 12)
    policy = Policy(channels={group.name: 0.5 for group in network.groups})
    options = CompressOptions(images=64)
    expected = network.module(others)

    def error():
        candidate = Compressor(network, images, options).candidate(policy)
        return float((candidate(others) - expected).square().mean())

    with_groups = error()
    monkeypatch.setattr("sartor.compression.refitting._layer_solver.groups_of", lambda module: 1)
    assert with_groups < error()


def test_single_weights_of_grouped_layers_are_masked_by_size():
    network = trace(mobile(24), torch.zeros(1, 3, 12, 12))
    images = torch.randn(16, 3, 12, 12)
    policy = Policy(weights={"3": 0.5})
    compressor = Compressor(network, images, CompressOptions(images=16))
    weight = compressor.candidate(policy).get_submodule("3").weight
    assert int((weight != 0).sum()) == weight.numel() // 2
    assert "3" in compressor.not_refitted(policy)
