"""Batch norms keep their statistics where a step has too few images to take new ones."""

import copy

import pytest
import torch
from torch import nn

from sartor.data import Images
from sartor.finetune import FinetuneOptions
from sartor.finetune._training import Training
from sartor.graph import trace


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 36, 4),
    ).eval()
    model[1].running_mean.normal_()
    return trace(model, torch.zeros(1, 3, 8, 8)).module


def trained(batch, freeze_norms=None):
    """State before and after one epoch."""
    candidate = network()
    before = copy.deepcopy(candidate.state_dict())
    images = Images(torch.rand(64, 3, 8, 8), torch.arange(64) % 4)
    options = FinetuneOptions(epochs=1, batch=batch, freeze_norms=freeze_norms, ema=0.0, augment=())
    training = Training.begin(candidate, images, None, options)
    training.epoch(0)
    return before, training.tensors()


@pytest.mark.parametrize(
    ("batch", "freeze_norms", "is_kept"),
    [(8, None, True), (31, None, True), (32, None, False), (8, False, False), (64, True, True)],
)
def test_statistics_are_kept_in_small_steps_or_where_it_is_said(batch, freeze_norms, is_kept):
    before, after = trained(batch, freeze_norms)
    for name in ("1.running_mean", "1.running_var"):
        assert torch.equal(before[name], after[name]) == is_kept


def test_what_a_frozen_norm_learns_is_its_scale_and_shift():
    before, after = trained(8)
    assert not torch.equal(before["1.weight"], after["1.weight"])
    assert not torch.equal(before["1.bias"], after["1.bias"])
    assert not torch.equal(before["0.weight"], after["0.weight"])
