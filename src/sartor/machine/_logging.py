"""Loggers of other packages, for a moment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Only warnings and worse come from the logger of that name; its level is put back at the end.

    >>> with quiet_logger("chatty"):
    ...     logging.getLogger("chatty").isEnabledFor(logging.INFO)
    False
    >>> logging.getLogger("chatty").level == logging.NOTSET
    True
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)
