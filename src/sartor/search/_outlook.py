"""What a search can still expect to gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Episodes of the agent's own that are looked back at, at least, and of all that it made one in so
#: many: gains come more and more slowly.
_LEAST = 30
_SHARE = 3


@dataclass(frozen=True)
class Outlook:
    """What as many episodes as were looked back at will gain, if they gain what those did.

    Gains fall off as a search goes on, so that this is more than what is to be expected.

    Attributes:
        gain: Of the best reward, relative to its size: 0.1 where a divergence of 1.0 became 0.9.
        episodes: How many were looked back at.
    """

    gain: float
    episodes: int

    @classmethod
    def after(cls, best: Sequence[float], own: int) -> Outlook | None:
        """The outlook given the best reward after every episode, of which the last were ``own``.

        None while the agent has made too few of its own.

        >>> Outlook.after([-1.0] * 3 + [-0.8] * 40, own=40)
        Outlook(gain=0.0, episodes=30)
        >>> Outlook.after([-1.0] * 3 + [-0.8] * 20, own=20) is None
        True
        """
        looked_at = max(_LEAST, own // _SHARE)
        if own < looked_at:
            return None
        before = best[-looked_at - 1] if len(best) > looked_at else best[0]
        size = abs(before)
        rise = best[-1] - before
        return cls(rise / size if size else rise, looked_at)
