"""Numbers that a network is timed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def random_inputs(shape: Sequence[int], *, whole: bool, rng: np.random.Generator) -> NDArray[Any]:
    """Normal numbers in fp32; for inputs of ``whole`` numbers 1, a word that any network knows.

    >>> random_inputs((1, 2), whole=True, rng=np.random.default_rng(0))
    array([[1, 1]])
    """
    if whole:
        return np.ones(shape, dtype=np.int64)
    return rng.standard_normal(shape).astype(np.float32)
