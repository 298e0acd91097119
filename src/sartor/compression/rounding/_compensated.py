"""Rounding of one layer's weights, of which later ones make up for what earlier ones lost.

The nearest whole number of each weight is not the best choice of all of them: errors of inputs
that go together add up. GPTQ (Frantar et al. 2023; before it optimal brain compression, Frantar
and Alistarh 2022) rounds one input after the other and moves what is not rounded yet so that the
output changes least. It needs only what inputs have in common, G = XᵀX, and no training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.compression.refitting import damped
from sartor.compression.rounding._nearest import nearest
from sartor.machine import solving_device

#: Relative to the mean diagonal of G: what GPTQ adds, so that G can be inverted.
_DAMPING = 0.01
#: Inputs after whose rounding all later ones are moved at once.
_BLOCK = 128


def round_compensated(
    weight: Tensor, gram: Tensor, scale: Tensor, zero_point: Tensor, limits: tuple[int, int]
) -> Tensor:
    """Weights (outputs, n), each a whole number of steps, whose output is near that of ``weight``.

    ``gram`` (n, n) is G of the inputs; ``scale`` and ``zero_point``, both (outputs,), and the
    lowest and highest whole number say what can be represented. Zeros stay zeros.

    >>> gram = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
    >>> steps, zeros = torch.ones(1), torch.zeros(1)
    >>> round_compensated(torch.tensor([[0.4, 0.4]]), gram, steps, zeros, (-7, 7))
    tensor([[0., 1.]])
    """
    left = weight.clone()
    rounded = torch.zeros_like(weight)
    influence = _influence(gram)

    inputs = weight.shape[1]
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        lost = torch.zeros_like(left[:, start:stop])
        for column in range(start, stop):
            possible = nearest(left[:, column], scale, zero_point, limits)
            rounded[:, column] = torch.where(weight[:, column] == 0, 0.0, possible)

            missing = left[:, column] - rounded[:, column]
            error = missing / influence[column, column]
            left[:, column:stop] -= error[:, None] * influence[column, column:stop]
            lost[:, column - start] = error

        left[:, stop:] -= lost @ influence[start:stop, stop:]

    return rounded


def _influence(gram: Tensor) -> Tensor:
    """What an error at each input asks of the later ones: the upper Cholesky factor of G⁻¹."""
    there = solving_device(gram.device)
    factor = torch.linalg.cholesky(damped(gram, _DAMPING).to(there))
    inverse = torch.cholesky_inverse(factor)
    return torch.linalg.cholesky(inverse, upper=True).to(gram.device)
