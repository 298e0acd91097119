"""The range of seeds."""

from __future__ import annotations

from sartor.errors import UsageError

# NumPy's legacy generators, which some agents draw from, take no larger one.
_LARGEST = 2**32 - 1


def require_seed(seed: int, name: str = "seed") -> None:
    """Raise `UsageError`, which calls it ``name``, for a seed outside 0 to 2³² − 1.

    >>> require_seed(-1)
    Traceback (most recent call last):
    sartor.errors.UsageError: seed is -1; it must lie from 0 to 4294967295
    """
    if not 0 <= seed <= _LARGEST:
        raise UsageError(f"{name} is {seed}; it must lie from 0 to {_LARGEST}")
