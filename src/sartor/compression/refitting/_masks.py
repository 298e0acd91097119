"""Fine-grained pruning: which single weights of a layer become zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sartor.compression.refitting._least_squares import ridge_shift
from sartor.machine import FloatArray

#: Alternating directions: the first weight of the tie between dense and sparse solution.
_FIRST_TIE = 0.1
#: Steps between looks at the mask, and most looks.
_STEPS = 3
_LONGEST = 100
#: Smallest eigenvalue that is divided by.
_SMALLEST_EIGENVALUE = 1e-7


def keep_largest(score: Tensor, keep: float) -> Tensor:
    """True for the round(``keep`` × count) largest scores, at least one.

    >>> keep_largest(torch.tensor([3.0, 1.0, 4.0]), 0.6)
    tensor([ True, False,  True])
    """
    count = max(1, round(keep * score.numel()))
    mask = torch.zeros(score.numel(), dtype=torch.bool)
    mask[score.flatten().topk(count).indices] = True
    return mask.view_as(score)


def least_error_mask(
    gram: Tensor, cross: Tensor, start: Tensor, sensitivity: Tensor, *, keep: float, ridge: float
) -> Tensor:
    """Mask, the shape of ``start`` (out, n), under which a refitted layer differs least.

    ALPS (Meng et al. 2024): alternating directions between the ridge regression of
    `least_squares` and its ``keep`` × count largest weights, tied ever more tightly until the
    mask stands still. Inputs are scaled to unit energy, outputs by their ``sensitivity`` (out,),
    so that sizes can be compared across the layer.
    """
    shift = ridge_shift(gram, ridge)
    scale = (gram.diagonal() + shift).sqrt()[:, None]
    system = (gram + shift * torch.eye(len(gram))) / (scale * scale.T)
    right = (cross + shift * start.T) / scale * sensitivity.sqrt()
    values, vectors = torch.linalg.eigh(system)
    values = values.clamp_min(_SMALLEST_EIGENVALUE)

    dense = vectors @ (vectors.T @ right / values[:, None])
    mask = keep_largest(dense.abs(), keep)
    sparse = dense * mask
    dual = torch.zeros_like(dense)
    tie = _FIRST_TIE
    for _ in range(_LONGEST):
        for _ in range(_STEPS):
            pulled = right - dual + tie * sparse
            dense = vectors @ (vectors.T @ pulled / (values + tie)[:, None])
            moved = dense + dual / tie
            latest = keep_largest(moved.abs(), keep)
            sparse = moved * latest
            dual = dual + tie * (dense - sparse)
        changed = float((latest ^ mask).sum() / latest.sum())
        mask = latest
        if not changed:
            break
        tie *= _growth(changed)
    return mask.T


def _growth(changed: float) -> float:
    """How much tighter the tie gets, by the share of the mask that changed since the last look."""
    if changed >= 0.1:
        return 1.3
    return 1.2 if changed >= 0.005 else 1.1


def error_curve(errors: Tensor, keep: FloatArray) -> FloatArray:
    """Summed errors of a layer for each share of weights kept, the smallest errors made first.

    >>> error_curve(torch.tensor([4.0, 1.0, 2.0, 8.0]), np.array([0.0, 0.5, 1.0]))
    array([15.,  3.,  0.])
    """
    ordered = np.sort(errors.flatten().double().numpy())
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    removed = errors.numel() - np.rint(keep * errors.numel()).astype(np.int64)
    curve: FloatArray = total[removed]
    return curve
