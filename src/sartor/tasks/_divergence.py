"""How far distributions over classes are from the original's."""

from __future__ import annotations

from torch import Tensor

#: Divergence, in nats, that counts for outputs that are not numbers: more than that of outputs that
#: are, however wrong.
_NO_ANSWER = 100.0


def divergences(candidate: Tensor, original: Tensor) -> Tensor:
    """KL(p_candidate ‖ p_original) of class distributions in nats (images,), at most 100.

    Both are class scores (images, classes).
    """
    # In fp32, because differences of logarithms lose their digits in half precision.
    mine = candidate.float().log_softmax(-1)
    theirs = original.float().log_softmax(-1)

    terms = mine.exp() * (mine - theirs)
    distances = terms.sum(-1).nan_to_num(_NO_ANSWER)
    return distances.clamp_max(_NO_ANSWER)


def divergence(candidate: Tensor, original: Tensor) -> float:
    """Mean KL(p_candidate ‖ p_original) of outputs (images, classes), in nats (Galen's Ω).

    >>> import torch
    >>> scores = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    >>> divergence(scores, scores)
    0.0
    """
    distances = divergences(candidate, original)
    return float(distances.mean())
