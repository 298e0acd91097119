"""Packages that may be missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from sartor.errors import MissingPackageError


def require(package: str, *, extra: str) -> ModuleType:
    """Import a package, or raise `MissingPackageError` with the command that installs it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"{package} is needed for this and cannot be imported ({error}); run: pip install 'sartor[{extra}]'"
        ) from error
