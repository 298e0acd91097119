"""Which version of this package runs."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("sartor")
