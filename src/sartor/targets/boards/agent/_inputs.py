"""Numbers that networks are timed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def random_input(shape: Sequence[int], *, whole: bool) -> Any:
    """Normal numbers in fp32; for inputs of ``whole`` numbers 1, a word that any network knows."""
    import numpy as np

    if whole:
        return np.ones(shape, dtype=np.int64)
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype(np.float32)
