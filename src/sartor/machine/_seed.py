"""What seeds there are."""

from __future__ import annotations

from sartor.errors import UsageError

_MOST = 2**32 - 1


def require_seed(seed: int, name: str = "seed") -> None:
    """Raise `UsageError` for a seed that one of the libraries that draw from it does not take."""
    if not 0 <= seed <= _MOST:
        raise UsageError(f"{name} is {seed}; it must lie from 0 to {_MOST}")
