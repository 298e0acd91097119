"""The small linear systems behind refitting."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

#: Memory, in elements, that one batch of row-wise systems may take.
_BATCH_ELEMENTS = 40_000_000


def ridge_solve(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    """D that solves (G + λI) D = R, with λ = ``ridge`` × mean diagonal of G; G (n, n), R (n, outputs)."""
    gram = gram.clone()
    gram.diagonal().add_(ridge * gram.diagonal().mean() + 1e-12)
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:  # fewer samples than inputs, and hardly any ridge
        return torch.linalg.lstsq(gram, right).solution
    return torch.cholesky_solve(right, factor)


def least_squares(gram: Tensor, cross: Tensor, start: Tensor, ridge: float, mask: Tensor | None = None) -> Tensor:
    """W (outputs, n) with least ‖XWᵀ − Y‖² + λ‖W − start‖², given G = XᵀX and C = XᵀY; zero where ``mask`` is False."""
    if mask is None:
        return start + ridge_solve(gram, cross - gram @ start.T, ridge).T
    start = start * mask
    right = (cross - gram @ start.T).T * mask
    weight = torch.empty_like(start)
    for rows, factor in _row_systems(gram, mask, ridge):
        weight[rows] = start[rows] + torch.cholesky_solve(right[rows, :, None], factor)[:, :, 0]
    return weight * mask


def inverse_diagonals(gram: Tensor, mask: Tensor, ridge: float) -> Tensor:
    """Diagonal of (G + λI)⁻¹ of every row's kept inputs, the shape of ``mask``; 1 where ``mask`` is False."""
    diagonals = torch.empty(mask.shape)
    for rows, factor in _row_systems(gram, mask, ridge):
        diagonals[rows] = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
    return diagonals


def _row_systems(gram: Tensor, mask: Tensor, ridge: float) -> Iterator[tuple[slice, Tensor]]:
    """Cholesky factors of G + λI restricted to what each row keeps; removed inputs have an equation 1 · d = 0 instead."""
    shift = ridge * gram.diagonal().mean() + 1e-12
    step = max(1, _BATCH_ELEMENTS // gram.numel())
    for first in range(0, len(mask), step):
        rows = slice(first, first + step)
        keep = mask[rows].float()
        systems = gram * keep[:, :, None] * keep[:, None, :]
        systems.diagonal(dim1=1, dim2=2).add_(shift * keep + (1 - keep))
        yield rows, torch.linalg.cholesky(systems)
