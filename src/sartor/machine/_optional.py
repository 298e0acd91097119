"""Packages that may be missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from sartor.errors import MissingPackageError


def is_installed(module: str) -> bool:
    """Whether there is a module of that name; it is not imported.

    >>> is_installed("json"), is_installed("no_such_package")
    (True, False)
    """
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of what somebody put in the way of imports
        return False


def require(module: str, *, extra: str) -> ModuleType:
    """The module of that name, imported; its package is one that sartor's ``extra`` installs.

    Raises `MissingPackageError` with the command that installs the package.

    >>> require("json", extra="cli").dumps([1])
    '[1]'
    >>> require("no_such_package.inner", extra="cli")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    sartor.errors.MissingPackageError: no_such_package is needed for this and cannot be imported ...
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackageError(
            f"{package} is needed for this and cannot be imported ({error}); "
            f"run: pip install 'sartor[{extra}]'"
        ) from error
