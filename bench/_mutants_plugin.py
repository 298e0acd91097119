"""Tells mutmut which tests reach which functions, also through fixtures and at import.

Mutmut records what runs during each test. What a fixture of a module or a session calls runs during
the first test that asks for it; it belongs to all that do. What a test module calls when it is
imported belongs to all tests.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from mutmut.state import state

_OF_IMPORT: set[str] = set()
_OF_FIXTURES: dict[Any, set[str]] = {}


def pytest_collection_finish() -> None:
    """Remember what ran while test modules were imported."""
    _OF_IMPORT.update(state()._stats)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Remember what runs while a fixture is made."""
    outside = set(state()._stats)
    state()._stats.clear()
    try:
        return (yield)
    finally:
        _OF_FIXTURES.setdefault(fixturedef, set()).update(state()._stats)
        state()._stats.update(outside)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Add to a test what its fixtures and the import of its module ran."""
    reached = state()._stats
    reached.update(_OF_IMPORT)
    known = getattr(item, "_fixtureinfo", None)
    for definitions in known.name2fixturedefs.values() if known else ():
        for definition in definitions:
            reached.update(_OF_FIXTURES.get(definition, ()))
