"""The small linear systems behind refitting."""

from __future__ import annotations

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


def least_squares_of_few(x: Tensor, y: Tensor, start: Tensor, ridge: float) -> Tensor:
    """W as `least_squares` gives it for samples X (n, inputs) and Y (n, outputs), by way of XXᵀ: cheaper if n < inputs."""
    return start + ridge_solve(x @ x.T, y - x @ start.T, ridge * len(x) / x.shape[1]).T @ x


def least_squares(
    gram: Tensor, cross: Tensor, start: Tensor, ridge: float, mask: Tensor | None = None
) -> Tensor:
    """W (outputs, n) with least ‖XWᵀ − Y‖² + λ‖W − start‖², given G = XᵀX and C = XᵀY; zero where ``mask`` is False."""
    if mask is None:
        return start + ridge_solve(gram, cross - gram @ start.T, ridge).T
    start = start * mask
    right = (cross - gram @ start.T).T * mask
    weight = torch.empty_like(start)
    shift = ridge * gram.diagonal().mean() + 1e-12
    step = max(1, _BATCH_ELEMENTS // gram.numel())
    for first in range(0, len(mask), step):
        rows = slice(first, first + step)
        keep = mask[rows].float()
        systems = gram * keep[:, :, None] * keep[:, None, :]
        systems.diagonal(dim1=1, dim2=2).add_(
            shift * keep + (1 - keep)
        )  # removed inputs: an equation 1 · d = 0
        weight[rows] = (
            start[rows]
            + torch.cholesky_solve(right[rows, :, None], torch.linalg.cholesky(systems))[:, :, 0]
        )
    return weight * mask
