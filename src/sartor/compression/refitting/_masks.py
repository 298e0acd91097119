"""Fine-grained pruning: which single weights of a layer become zero."""

from __future__ import annotations

from dataclasses import dataclass

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
    total = score.numel()
    count = max(1, round(keep * total))
    largest = score.flatten().topk(count)

    mask = torch.zeros(total, dtype=torch.bool, device=score.device)
    mask[largest.indices] = True
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
    energy = gram.diagonal() + shift
    scale = energy.sqrt()[:, None]
    damped = gram + shift * torch.eye(len(gram), device=gram.device)

    scaled = damped / (scale * scale.T)
    system = _Eigensystem.of(scaled)

    # The sensitivity of an output counts in its squared error: here, its root.
    pull = cross + shift * start.T
    weighted = pull / scale * sensitivity.sqrt()
    mask = _alternate(system, weighted, keep)
    return mask.T


@dataclass(frozen=True, eq=False)
class _Eigensystem:
    """A symmetric matrix A, decomposed once to be solved with many shifts.

    Attributes:
        values: Its eigenvalues, (n,).
        vectors: Its eigenvectors, in columns.
    """

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> _Eigensystem:
        values, vectors = torch.linalg.eigh(matrix)
        return cls(values.clamp_min(_SMALLEST_EIGENVALUE), vectors)

    def solve(self, right: Tensor, shift: float = 0.0) -> Tensor:
        """X with (A + shift · I) X = ``right``."""
        shifted = self.values + shift
        rotated = self.vectors.T @ right
        return self.vectors @ (rotated / shifted[:, None])


def _alternate(system: _Eigensystem, right: Tensor, keep: float) -> Tensor:
    """The mask, (n, out), on which dense and sparse solution of a system agree in the end."""
    dense = system.solve(right)
    mask = keep_largest(dense.abs(), keep)
    sparse = dense * mask
    dual = torch.zeros_like(dense)

    # A loose tie first, so that weights can still change places.
    tie = _FIRST_TIE
    for _ in range(_LONGEST):
        for _ in range(_STEPS):
            pulled = right - dual + tie * sparse
            dense = system.solve(pulled, tie)
            moved = dense + dual / tie
            latest = keep_largest(moved.abs(), keep)
            sparse = moved * latest
            dual = dual + tie * (dense - sparse)

        difference = latest ^ mask
        changed = float(difference.sum() / latest.sum())
        mask = latest
        if not changed:
            break
        tie *= _growth(changed)

    return mask


def _growth(changed: float) -> float:
    """How much tighter the tie gets, by the share of the mask that changed since the last look."""
    # Steps of ALPS: fast while the mask still moves a lot, slow towards the end.
    if changed >= 0.1:
        return 1.3
    if changed >= 0.005:
        return 1.2
    return 1.1


def error_curve(errors: Tensor, keep: FloatArray) -> FloatArray:
    """Summed errors of a layer for each share of weights kept, the smallest errors made first.

    >>> error_curve(torch.tensor([4.0, 1.0, 2.0, 8.0]), np.array([0.0, 0.5, 1.0]))
    array([15.,  3.,  0.])
    """
    count = errors.numel()
    flat = errors.flatten().cpu().double()
    ordered = np.sort(flat.numpy())
    sums = np.cumsum(ordered)

    # From no weight removed to all of them.
    total = np.concatenate([[0.0], sums])

    left = np.rint(keep * count).astype(np.int64)
    curve: FloatArray = total[count - left]
    return curve
