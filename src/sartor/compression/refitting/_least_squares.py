"""The small linear systems behind refitting."""

from __future__ import annotations

import torch
from torch import Tensor

#: Memory, in elements, that one batch of row-wise systems may take.
_BATCH_ELEMENTS = 40_000_000
#: Added to every diagonal: systems of zeros can be solved too.
_SMALLEST_SHIFT = 1e-12


def ridge_shift(gram: Tensor, ridge: float) -> Tensor:
    """λ = ``ridge`` × mean diagonal of G."""
    return ridge * gram.diagonal().mean() + _SMALLEST_SHIFT


def ridge_solve(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    """D that solves (G + λI) D = R, for G (n, n) and R (n, outputs); λ is `ridge_shift`."""
    gram = gram.clone()
    gram.diagonal().add_(ridge_shift(gram, ridge))
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:  # fewer samples than inputs, and hardly any ridge
        return torch.linalg.lstsq(gram, right).solution
    return torch.cholesky_solve(right, factor)


def least_squares_of_few(x: Tensor, y: Tensor, start: Tensor, ridge: float) -> Tensor:
    """W as `least_squares` gives it, for samples X (n, inputs) and Y (n, outputs).

    By way of XXᵀ, which is cheaper if n < inputs.
    """
    samples, inputs = x.shape
    residual = y - x @ start.T
    dual = ridge_solve(x @ x.T, residual, ridge * samples / inputs)
    return start + dual.T @ x


def least_squares(
    gram: Tensor, cross: Tensor, start: Tensor, ridge: float, mask: Tensor | None = None
) -> Tensor:
    """W (outputs, n) with least ‖XWᵀ − Y‖² + λ‖W − start‖², given G = XᵀX and C = XᵀY.

    It is zero where ``mask`` (outputs, n) is False.
    """
    if mask is None:
        return start + ridge_solve(gram, cross - gram @ start.T, ridge).T
    start = start * mask
    right = (cross - gram @ start.T).T * mask
    shift = ridge_shift(gram, ridge)
    weight = torch.empty_like(start)
    step = max(1, _BATCH_ELEMENTS // gram.numel())
    for first in range(0, len(mask), step):
        rows = slice(first, first + step)
        factors = torch.linalg.cholesky(_systems_of_rows(gram, mask[rows].float(), shift))
        change = torch.cholesky_solve(right[rows, :, None], factors)[:, :, 0]
        weight[rows] = start[rows] + change
    return weight * mask


def _systems_of_rows(gram: Tensor, keep: Tensor, shift: Tensor) -> Tensor:
    """One system (n, n) for each row of ``keep``; removed inputs get the equation 1 · d = 0."""
    systems = gram * keep[:, :, None] * keep[:, None, :]
    systems.diagonal(dim1=1, dim2=2).add_(shift * keep + (1 - keep))
    return systems
