"""Fine-grained pruning: which single weights of a layer become zero."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: How channels and weights are ranked: by their size, or by the error their removal causes.
Selection = Literal["magnitude", "error"]


def removal_errors(matrix: Tensor, gram: Tensor, sensitivity: Tensor) -> Tensor:
    """Error each weight's removal causes once the others of its row adapt: sₒ · w² / [G⁻¹]ⱼⱼ, the shape of ``matrix``.

    Optimal brain surgeon (Hassibi & Stork 1993) on the layer's inputs, G (n, n); ``sensitivity`` s, (out,), says what an
    error at each output channel costs.
    """
    damped = gram + torch.eye(len(gram)) * (1e-2 * gram.diagonal().mean() + 1e-12)
    return matrix.square() * sensitivity[:, None] / torch.linalg.inv(damped).diagonal().clamp_min(1e-30)


def keep_largest(score: Tensor, keep: float) -> Tensor:
    """True for the round(``keep`` × count) largest scores, at least one."""
    mask = torch.zeros(score.numel(), dtype=torch.bool)
    mask[score.flatten().topk(max(1, round(keep * score.numel()))).indices] = True
    return mask.view_as(score)


def error_curve(errors: Tensor, keep: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Summed removal errors of a layer for each share of weights kept, those with the smallest errors removed."""
    total = np.concatenate([[0.0], np.cumsum(np.sort(errors.flatten().double().numpy()))])
    curve: npt.NDArray[np.float64] = total[errors.numel() - np.rint(keep * errors.numel()).astype(np.int64)]
    return curve
