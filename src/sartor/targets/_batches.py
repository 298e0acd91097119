"""Batches of the size that a target or a format asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from sartor.machine import Float32Array


def of_batch(inputs: Sequence[Tensor], size: int) -> tuple[Tensor, ...]:
    """The first example of each input, as often as the batch has examples.

    >>> import torch
    >>> [tuple(item.shape) for item in of_batch([torch.zeros(1, 3, 8, 8)], 4)]
    [(4, 3, 8, 8)]
    """
    sized = []
    for item in inputs:
        others = [1] * (item.dim() - 1)
        sized.append(item[:1].repeat(size, *others))
    return tuple(sized)


def in_batches(
    run: Callable[[list[Float32Array]], list[Float32Array]],
    inputs: Sequence[Float32Array],
    size: int,
) -> list[Float32Array]:
    """What ``run`` gives for any number of examples, if it only takes ``size`` at a time.

    The last batch is filled up with the first examples; their outputs are dropped.

    >>> in_batches(lambda batch: [2 * batch[0]], [np.arange(3.0)], 2)
    [array([0., 2., 4.])]
    """
    count = len(inputs[0])
    parts = []
    for start in range(0, count, size):
        rows = np.arange(start, start + size) % count
        given = [item[rows] for item in inputs]
        parts.append(run(given))

    joined = []
    for outputs in zip(*parts, strict=True):
        joined.append(np.concatenate(outputs)[:count])
    return joined
