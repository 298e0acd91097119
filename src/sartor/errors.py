"""Every error sartor raises on purpose.

Each message names the value, where it came from and what is allowed.

SartorError
├── UsageError        the caller asked for something that cannot be (exit status 2)
│   ├── BudgetError   a budget that cannot be read or cannot be met
│   ├── PolicyError   a policy that does not fit the network, or a file that is not a policy
│   └── MissingPackageError
├── DataError         data that is missing, empty or of the wrong shape
├── WeightsError      weights that are missing, do not fit or are not finite
├── TraceError        a network that cannot be traced
├── RunError          a run folder that cannot be used as asked
└── VerificationError an artifact that is not what was promised
"""

from __future__ import annotations

from collections.abc import Mapping


class SartorError(Exception):
    """Base of all errors raised on purpose. ``exit_status`` is what the command line ends with."""

    exit_status = 1


class UsageError(SartorError):
    """The request itself is wrong."""

    exit_status = 2


class BudgetError(UsageError):
    """A budget that cannot be read, or that no policy can meet.

    Attributes:
        smallest: The least that can be reached of each quantity that is out of reach, in the
            quantity's own unit (MACs, parameters, bytes, BOPs, seconds); empty if the budget cannot
            be read. Where bounds can be met, but not all at once, what comes nearest to all.
    """

    def __init__(self, message: str, *, smallest: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.smallest = dict(smallest or {})


class PolicyError(UsageError):
    """A policy that does not fit the network, or a file that is not a policy."""


class MissingPackageError(UsageError):
    """An optional package is needed and absent."""


class DataError(SartorError):
    """Data that is missing, empty or of the wrong shape."""


class WeightsError(SartorError):
    """Weights that are missing, do not fit the network or are not finite."""


class TraceError(SartorError):
    """The network cannot be traced."""


class RunError(SartorError):
    """A run folder that cannot be used as asked."""


class VerificationError(SartorError):
    """An artifact that is not what was promised."""
