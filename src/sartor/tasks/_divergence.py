"""How far outputs are from the original's: distributions, yes or no, numbers, directions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

#: Distance that counts for outputs that are not numbers: more than that of outputs that are,
#: however wrong. Of distributions in nats.
NO_ANSWER = 100.0


def bounded(distances: Tensor) -> Tensor:
    """Distances of at most 100, which is also that of no number.

    >>> import torch
    >>> bounded(torch.tensor([0.5, float("nan"), 1e9]))
    tensor([  0.5000, 100.0000, 100.0000])
    """
    return distances.nan_to_num(NO_ANSWER).clamp_max(NO_ANSWER)


def divergences(candidate: Tensor, original: Tensor, axis: int = -1) -> Tensor:
    """KL(p_candidate ‖ p_original) of class distributions in nats, at most 100.

    Both are class scores, such as (images, classes); the axis of the classes is left out of what is
    given.
    """
    # In fp32, because differences of logarithms lose their digits in half precision.
    mine = candidate.float().log_softmax(axis)
    theirs = original.float().log_softmax(axis)

    terms = mine.exp() * (mine - theirs)
    return bounded(terms.sum(axis))


def divergence(candidate: Tensor, original: Tensor) -> float:
    """Mean KL(p_candidate ‖ p_original) of outputs (images, classes), in nats (Galen's Ω).

    >>> import torch
    >>> scores = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    >>> divergence(scores, scores)
    0.0
    """
    distances = divergences(candidate, original)
    return float(distances.mean())


def yes_or_no_divergences(found: Tensor, wanted: Tensor) -> Tensor:
    """KL(p_found ‖ p_wanted) of each answer yes or no, in nats; both are logits of one shape.

    >>> import torch
    >>> yes_or_no_divergences(torch.zeros(1), torch.zeros(1))
    tensor([0.])
    """
    mine = found.float()
    theirs = wanted.float()
    yes = mine.sigmoid() * (F.logsigmoid(mine) - F.logsigmoid(theirs))
    no = (-mine).sigmoid() * (F.logsigmoid(-mine) - F.logsigmoid(-theirs))
    return yes + no
