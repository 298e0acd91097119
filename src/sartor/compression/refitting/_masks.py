"""Fine-grained pruning: which single weights of a layer become zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sartor.machine import FloatArray

#: Alternating directions: the first weight of the tie, steps between looks at the mask, most looks.
_FIRST_TIE, _STEPS, _LONGEST = 0.1, 3, 100


def keep_largest(score: Tensor, keep: float) -> Tensor:
    """True for the round(``keep`` × count) largest scores, at least one."""
    mask = torch.zeros(score.numel(), dtype=torch.bool)
    mask[score.flatten().topk(max(1, round(keep * score.numel()))).indices] = True
    return mask.view_as(score)


def least_error_mask(
    gram: Tensor, cross: Tensor, start: Tensor, sensitivity: Tensor, *, keep: float, ridge: float
) -> Tensor:
    """Mask, the shape of ``start`` (out, n), under which a refitted layer differs least from what it should give.

    ALPS (Meng et al. 2024): alternating directions between the ridge regression of `least_squares` and its ``keep`` × count
    largest weights, tied ever more tightly until the mask stands still. Inputs are scaled to unit energy, outputs by their
    ``sensitivity`` (out,), so that sizes can be compared across the layer.
    """
    shift = ridge * gram.diagonal().mean() + 1e-12
    scale = (gram.diagonal() + shift).sqrt()[:, None]
    system = (gram + shift * torch.eye(len(gram))) / (scale * scale.T)
    right = (cross + shift * start.T) / scale * sensitivity.sqrt()
    values, vectors = torch.linalg.eigh(system)
    values = values.clamp_min(1e-7)
    dense = vectors @ (vectors.T @ right / values[:, None])
    mask = keep_largest(dense.abs(), keep)
    sparse, dual, tie = dense * mask, torch.zeros_like(dense), _FIRST_TIE
    for _ in range(_LONGEST):
        for _ in range(_STEPS):
            dense = vectors @ (vectors.T @ (right - dual + tie * sparse) / (values + tie)[:, None])
            moved = dense + dual / tie
            latest = keep_largest(moved.abs(), keep)
            sparse = moved * latest
            dual = dual + tie * (dense - sparse)
        changed = float((latest ^ mask).sum() / latest.sum())
        mask = latest
        if not changed:
            break
        tie *= 1.3 if changed >= 0.1 else 1.2 if changed >= 0.005 else 1.1
    return mask.T


def error_curve(errors: Tensor, keep: FloatArray) -> FloatArray:
    """Summed errors of a layer for each share of weights kept, those with the smallest errors removed."""
    total = np.concatenate([[0.0], np.cumsum(np.sort(errors.flatten().double().numpy()))])
    curve: FloatArray = total[errors.numel() - np.rint(keep * errors.numel()).astype(np.int64)]
    return curve
