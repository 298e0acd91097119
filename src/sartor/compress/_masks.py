"""Fine-grained pruning: which single weights of a layer become zero."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: How channels and weights are ranked: by their size, or by the reconstruction error their removal causes.
Selection = Literal["magnitude", "error"]


def choose_weights(weight: Tensor, keep: float, gram: Tensor | None = None) -> Tensor:
    """True for the weights that stay: round(``keep`` × count) of them, at least one.

    Largest magnitude first; with ``gram`` (of the layer's inputs, (n, n)) largest w² / [G⁻¹]ⱼⱼ first, the error a weight's
    removal causes once the others of its row adapt (optimal brain surgeon, Hassibi & Stork 1993).
    """
    rows = weight.flatten(1)
    score = rows.abs()
    if gram is not None:
        damped = gram + torch.eye(len(gram)) * (1e-2 * gram.diagonal().mean() + 1e-12)
        score = rows.square() / torch.linalg.inv(damped).diagonal().clamp_min(1e-30)
    count = max(1, round(keep * rows.numel()))
    mask = torch.zeros(rows.numel(), dtype=torch.bool)
    mask[score.flatten().topk(count).indices] = True
    return mask.view_as(rows)
