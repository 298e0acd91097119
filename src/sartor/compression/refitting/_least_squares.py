"""The small linear systems behind refitting."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.machine import solving_device

#: Memory, in elements, that one batch of row-wise systems may take.
_BATCH_ELEMENTS = 40_000_000
#: Added to every diagonal: systems of zeros can be solved too.
_SMALLEST_SHIFT = 1e-12


def ridge_shift(gram: Tensor, ridge: float) -> Tensor:
    """λ = ``ridge`` × mean diagonal of G, (…, 1)."""
    energy = gram.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return ridge * energy + _SMALLEST_SHIFT


def damped(gram: Tensor, ridge: float) -> Tensor:
    """G + λI, (…, n, n); λ is `ridge_shift`."""
    result = gram.clone()
    result.diagonal(dim1=-2, dim2=-1).add_(ridge_shift(gram, ridge))
    return result


def ridge_solve(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    """D that solves (G + λI) D = R, for G (…, n, n) and R (…, n, outputs); λ is `ridge_shift`."""
    system = damped(gram, ridge)
    there = solving_device(gram.device)
    factor, failed = torch.linalg.cholesky_ex(system.to(there))
    if failed.any():
        return _without_full_rank(system, right)
    solution = torch.cholesky_solve(right.to(there), factor)
    return solution.to(right.device)


def _without_full_rank(systems: Tensor, right: Tensor) -> Tensor:
    """Solutions where there were fewer samples than inputs, and hardly any ridge."""
    # GPUs have no method for them.
    solution = torch.linalg.lstsq(systems.cpu(), right.cpu()).solution
    return solution.to(right.device)


def least_squares_of_few(x: Tensor, y: Tensor, start: Tensor, ridge: float) -> Tensor:
    """W as `least_squares` gives it, for samples X (n, inputs) and Y (n, outputs).

    By way of XXᵀ, which is cheaper if n < inputs.
    """
    # Both have the same trace, but XXᵀ spreads it over n, not over the inputs.
    same_ridge = ridge * len(x) / x.shape[1]
    missing = y - x @ start.T
    by_sample = ridge_solve(x @ x.T, missing, same_ridge)
    return start + by_sample.T @ x


def least_squares(
    gram: Tensor, cross: Tensor, start: Tensor, ridge: float, mask: Tensor | None = None
) -> Tensor:
    """W (…, outputs, n) with least ‖XWᵀ − Y‖² + λ‖W − start‖², given G = XᵀX and C = XᵀY.

    It is zero where ``mask`` (outputs, n) is False. Without a mask, axes in front are of layers
    beside each other.
    """
    if mask is not None:
        return _masked_least_squares(gram, cross, start * mask, ridge, mask)
    missing = cross - gram @ start.mT
    change = ridge_solve(gram, missing, ridge)
    return start + change.mT


def _masked_least_squares(
    gram: Tensor, cross: Tensor, start: Tensor, ridge: float, mask: Tensor
) -> Tensor:
    """`least_squares` where every output reads inputs of its own: a system for each of them."""
    missing = cross - gram @ start.T
    right = missing.T * mask

    shift = ridge_shift(gram, ridge)
    weight = torch.empty_like(start)

    # As many systems at once as fit: one after the other they would take far longer.
    step = max(1, _BATCH_ELEMENTS // gram.numel())
    for first in range(0, len(mask), step):
        rows = slice(first, first + step)
        keep = mask[rows].float()
        systems = _systems_of_rows(gram, keep, shift)
        factors, failed = torch.linalg.cholesky_ex(systems)

        columns = right[rows, :, None]
        change = torch.cholesky_solve(columns, factors)
        if failed.any():
            change = _without_full_rank(systems, columns)
        weight[rows] = start[rows] + change[:, :, 0]

    return weight * mask


def _systems_of_rows(gram: Tensor, keep: Tensor, shift: Tensor) -> Tensor:
    """One system (n, n) for each row of ``keep``; removed inputs get the equation 1 · d = 0."""
    of_rows = keep[:, :, None]
    of_columns = keep[:, None, :]
    systems = gram * of_rows * of_columns

    on_diagonal = shift * keep + (1 - keep)
    systems.diagonal(dim1=1, dim2=2).add_(on_diagonal)
    return systems
