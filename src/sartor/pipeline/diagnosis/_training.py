"""Whether a network was trained, and answers as it did in training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sartor.pipeline.diagnosis._cause import Cause, answers
from sartor.scoring import change_interval

#: Images whose answers are compared.
_COUNT = 200
#: So many more answers must be right.
_MORE = 0.25
#: Statistics of a batch mend inputs on another scale too, which is the likelier cause.
_HANDICAP = 0.1
#: Of uniform numbers as many as a layer has, the standard deviation is as near to what is expected.
_NEAR = 0.1
#: Weights of smaller layers tell too little.
_LEAST = 64

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fresh_weights(network: nn.Module) -> Cause | None:
    """That a network has the weights which PyTorch draws for new layers; None if it has not."""
    layers = [module for module in network.modules() if isinstance(module, _LAYERS)]
    large = [module.weight for module in layers if module.weight.numel() >= _LEAST]
    is_drawn = bool(large) and all(map(_is_as_drawn, large))
    if not is_drawn and not _has_untouched_norms(network):
        return None
    return Cause(
        "its weights are random, as PyTorch draws them for a new network: give those that were "
        "trained, by --weights or by loading them into the network"
    )


def wrong_statistics(network: nn.Module, images: Tensor, labels: Tensor) -> Cause | None:
    """That batch norms answer rightly in training mode only; None if they do not."""
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    if not norms:
        return None

    few = images[:_COUNT]
    correct = answers(network, few) == labels[:_COUNT]
    training = copy.deepcopy(network)
    for module in training.modules():
        if isinstance(module, _NORMS):
            module.train()

    # In training mode every batch is normalised by itself.
    order = torch.randperm(len(few), generator=torch.Generator().manual_seed(0))
    shuffled = answers(training, few[order])
    right = torch.empty_like(correct)
    right[order] = shuffled == labels[:_COUNT][order]
    if change_interval(right, correct).low < _MORE:
        return None

    share = float(right.float().mean())
    return Cause(
        f"in training mode it answers {share:.0%} right: the running statistics of its batch norms "
        "do not belong to its weights, they were reset or not saved",
        certain=True,
        right=share - _HANDICAP,
    )


def random_answers(network: nn.Module, images: Tensor) -> Cause | None:
    """That a network answers the same images in different ways; None if it does not."""
    few = images[:2]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        first = network(few)
        second = network(few)
    if not isinstance(first, Tensor) or torch.equal(first, second):
        return None
    return Cause(
        "it answers the same images differently each time: there is dropout or noise in it that "
        "evaluation mode does not turn off"
    )


def _is_as_drawn(weight: Tensor) -> bool:
    """Whether weights (out, in, …) are uniform within ± 1/√inputs, the default of PyTorch."""
    inputs = weight[0].numel()
    bound = inputs**-0.5
    # Of a uniform distribution.
    expected = bound / 3**0.5
    largest = float(weight.abs().max())
    spread = float(weight.std())
    return largest <= bound and abs(spread / expected - 1) < _NEAR


def _has_untouched_norms(network: nn.Module) -> bool:
    """Whether there are batch norms, and none has seen a batch."""
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    if not norms:
        return False
    for norm in norms:
        if norm.running_mean is None or norm.running_var is None:
            return False
        if norm.running_mean.any() or (norm.running_var != 1).any():
            return False
    return True
