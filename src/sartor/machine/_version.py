"""Which version of this package runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("sartor")
    except PackageNotFoundError:  # run from its source, without having been installed
        return "source"


VERSION = _version()
