"""What a layer reads and should give, summed up over samples, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Columns of XᵀX up to this are multiplied at once.
_BLOCK = 144


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """G = XᵀX and C = XᵀY of samples that were centred, or were not.

    Axes in front are of layers beside each other, such as the groups of a convolution.
    Two of them are merged as by Chan, Golub and LeVeque (1979), so that samples never have to be
    in memory at once.

    >>> x, y = torch.tensor([[1.0], [3.0], [8.0]]), torch.tensor([[0.0], [2.0], [1.0]])
    >>> whole = NormalEquations.of(x, y, centred=True)
    >>> first = NormalEquations.of(x[:2], y[:2], centred=True)
    >>> merged = first.merged(NormalEquations.of(x[2:], y[2:], centred=True))
    >>> merged.gram, whole.gram
    (tensor([[26.]]), tensor([[26.]]))

    Attributes:
        count: Of samples.
        mean_x: (…, inputs); zeros where samples are not centred.
        mean_y: (…, outputs); zeros where samples are not centred.
        gram: G, (…, inputs, inputs).
        cross: C, (…, inputs, outputs).
    """

    count: int
    mean_x: Tensor
    mean_y: Tensor
    gram: Tensor
    cross: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, *, centred: bool) -> NormalEquations:
        """Of samples X (…, n, inputs) and Y (…, n, outputs)."""
        mean_x = torch.zeros_like(x[..., 0, :])
        mean_y = torch.zeros_like(y[..., 0, :])
        if centred:
            mean_x = x.mean(-2)
            mean_y = y.mean(-2)

        centred_x = x - mean_x[..., None, :]
        centred_y = y - mean_y[..., None, :]
        gram = _square(centred_x)
        cross = centred_x.mT @ centred_y
        return cls(x.shape[-2], mean_x, mean_y, gram, cross)

    @classmethod
    def of_parts(
        cls, samples: Iterable[tuple[Tensor, Tensor]], *, centred: bool
    ) -> NormalEquations:
        """Of samples that come in parts, of which there is at least one."""
        parts = (cls.of(x, y, centred=centred) for x, y in samples)
        equations = next(parts)
        for part in parts:
            equations = equations.merged(part)
        return equations

    def shift(self, weight: Tensor) -> Tensor:
        """What is missing from the means of Y, (…, outputs), with weights (…, outputs, inputs)."""
        explained = (weight @ self.mean_x[..., None]).squeeze(-1)
        return self.mean_y - explained

    def merged(self, other: NormalEquations) -> NormalEquations:
        """Of the samples of both."""
        count = self.count + other.count
        share = other.count / count
        apart_x = other.mean_x - self.mean_x
        apart_y = other.mean_y - self.mean_y

        weight = self.count * share
        spread_x = apart_x[..., :, None] * apart_x[..., None, :]
        spread_y = apart_x[..., :, None] * apart_y[..., None, :]
        return NormalEquations(
            count=count,
            mean_x=self.mean_x + share * apart_x,
            mean_y=self.mean_y + share * apart_y,
            gram=self.gram + other.gram + weight * spread_x,
            cross=self.cross + other.cross + weight * spread_y,
        )


def _square(x: Tensor) -> Tensor:
    """XᵀX; below the diagonal it is what stands above, which saves up to half of the work.

    >>> _square(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([[ 1.,  2.],
            [ 2., 13.]])
    """
    width = x.shape[-1]
    square = x.new_empty(*x.shape[:-2], width, width)
    for start in range(0, width, _BLOCK):
        stop = start + _BLOCK
        block = x[..., start:stop]
        above = block.mT @ x[..., start:]
        square[..., start:stop, start:] = above
        square[..., stop:, start:stop] = above[..., _BLOCK:].mT
    return square
