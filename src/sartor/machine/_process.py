"""Which of several processes this is, where one training is shared among them."""

from __future__ import annotations

import os


def is_main() -> bool:
    """Whether this process speaks for all: the only one, or the first of several.

    ``torchrun`` and the launchers of clusters number their processes in the environment: ``RANK``.
    """
    return os.environ.get("RANK", "0") == "0"
