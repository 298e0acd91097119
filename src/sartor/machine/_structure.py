"""Dataclasses from the plain values of JSON and TOML files, with errors that name the place."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sartor.errors import SartorError, UsageError
from sartor.registry import did_you_mean

Structured = TypeVar("Structured")


def structure(
    kind: type[Structured],
    content: Mapping[str, Any],
    place: str,
    error: type[SartorError] = UsageError,
) -> Structured:
    """A dataclass from what a file holds; hyphens in keys are read as underscores.

    Fields may be of plain types, paths, literals, tuples, lists, mappings of strings, other
    dataclasses, and classes with a method ``from_json(text, place)``.

    Raises ``error``, one sentence with ``place`` and the key, for a key that is unknown, given
    twice or missing, and for a value of another type.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> structure(Point, {"x": 1}, "point.json")
    Point(x=1.0, y=0.0)
    >>> structure(Point, {"z": 1}, "point.json")
    Traceback (most recent call last):
    sartor.errors.UsageError: point.json: unknown key 'z'; allowed are x, y
    """
    return _Reader(error).dataclass(kind, content, place)


class _Reader:
    """Converts values to the types that annotations name."""

    def __init__(self, error: type[SartorError]) -> None:
        self.error = error

    def dataclass(self, kind: type[Structured], content: object, place: str) -> Structured:
        if not isinstance(content, Mapping):
            raise self.error(f"{place} is {content!r}; it must be a table")

        hints = get_type_hints(kind)
        known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
        values: dict[str, Any] = {}
        for key, value in content.items():
            name = key.replace("-", "_")
            if name not in known:
                allowed = ", ".join(sorted(known))
                meant = did_you_mean(name, known)
                if "-" in key:
                    meant = meant.replace("_", "-")
                raise self.error(f"{place}: unknown key {key!r}; {meant}allowed are {allowed}")

            # Once with hyphens, once with underscores.
            if name in values:
                raise self.error(f"{place}: {name} is given twice; once is enough")

            values[name] = self.value(hints[name], value, f"{place}: {key}")

        for name, item in known.items():
            if name not in values and _needed(item):
                raise self.error(f"{place} lacks the key {name!r}")

        return kind(**values)

    def value(self, hint: Any, value: object, place: str) -> Any:
        if hint is Any:
            return value

        origin = get_origin(hint)
        if origin in (types.UnionType, Union):
            return self._one_of(get_args(hint), value, place)
        if origin is Literal:
            return self._literal(get_args(hint), value, place)
        if origin in (tuple, list) or origin is Sequence:
            return self._items(hint, value, place)
        if origin in (dict, Mapping):
            _, kind = get_args(hint)
            return self._mapping(kind, value, place)

        # Before dataclasses: a class that reads itself may be one too.
        if hasattr(hint, "from_json"):
            return hint.from_json(json.dumps(value), place)
        if is_dataclass(hint):
            return self.dataclass(hint, value, place)  # type: ignore[arg-type]
        return self._scalar(hint, value, place)

    def _one_of(self, options: tuple[Any, ...], value: object, place: str) -> Any:
        if value is None:
            return None
        *others, kind = (option for option in options if option is not types.NoneType)
        if not others:
            return self.value(kind, value, place)
        for option in (*others, kind):
            try:
                return self.value(option, value, place)
            except self.error:
                continue
        allowed = " or ".join(map(_name_of, (*others, kind)))
        raise self.error(f"{place} is {value!r}; it must be {allowed}")

    def _literal(self, allowed: tuple[Any, ...], value: object, place: str) -> object:
        if value not in allowed:
            names = ", ".join(map(str, allowed))
            raise self.error(f"{place} is {value!r}; allowed are {names}")
        return value

    def _items(self, hint: Any, value: object, place: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise self.error(f"{place} is {value!r}; it must be a list")

        kinds = get_args(hint)
        origin = get_origin(hint)
        is_fixed = origin is tuple and kinds[-1] is not Ellipsis
        if is_fixed and len(value) != len(kinds):
            raise self.error(f"{place} is {value!r}; it must be a list of {len(kinds)}")

        if not is_fixed:
            # All items are of the first kind.
            kinds = kinds[:1] * len(value)

        items = []
        for kind, item in zip(kinds, value, strict=True):
            converted = self.value(kind, item, place)
            items.append(converted)

        if origin is list:
            return items
        return tuple(items)

    def _mapping(self, kind: Any, value: object, place: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self.error(f"{place} is {value!r}; it must be a table")

        found = {}
        for key, item in value.items():
            found[key] = self.value(kind, item, f"{place}: {key}")
        return found

    def _scalar(self, kind: type, value: object, place: str) -> Any:
        if kind is Path:
            if not isinstance(value, str):
                raise self.error(f"{place} is {value!r}; it must be a path")
            return Path(value)

        # JSON and TOML write 1 for 1.0.
        if kind is float and type(value) is int:
            return float(value)
        # Not isinstance, for which True is a number.
        if type(value) is not kind:
            raise self.error(f"{place} is {value!r}; it must be of type {kind.__name__}")
        return value


def _name_of(hint: Any) -> str:
    """What a value may be, in words."""
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    return f"of type {getattr(hint, '__name__', hint)}"


def _needed(item: Field[Any]) -> bool:
    """Whether a field has no default."""
    return item.init and item.default is MISSING and item.default_factory is MISSING
