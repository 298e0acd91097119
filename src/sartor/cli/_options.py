"""The options of a command, read off the fields of its dataclass."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

#: Marks a list whose values may hold commas: ``Annotated[tuple[str, ...], HOLDS_COMMAS]``.
HOLDS_COMMAS = "values hold commas"

#: Options that may be called by a shorter name, where no other has it.
_SHORT = {"--batch": "--target-batch"}

# What tyro puts into annotations; its types say no more than that these are special forms.
_POSITIONAL: Any = tyro.conf.Positional
_OMIT_PREFIXES: Any = tyro.conf.OmitArgPrefixes


@dataclass(frozen=True)
class Option:
    """One option, as it is written on the command line.

    Attributes:
        name: With its hyphens: ``--seed-with``.
        takes_list: Whether any number of values may follow, joined by commas if one likes.
        choices: What its values may be; empty if that is not known here.
        takes_share: Whether it takes a number with decimals, so that ``93%`` means 0.93.
    """

    name: str
    takes_list: bool = False
    choices: tuple[str, ...] = ()
    takes_share: bool = False


def options_of(command: type) -> dict[str, Option]:
    """The options of a command by name; those of nested dataclasses, and ``--no-…``, included."""
    found = {"-h": Option("-h"), "--help": Option("--help")}
    for option in _options(command, prefix="", flat=False):
        found[option.name] = option
    for short, name in _SHORT.items():
        if name in found:
            found.setdefault(short, found[name])
    return found


def _options(kind: type, *, prefix: str, flat: bool) -> Iterator[Option]:
    """Options of a dataclass; where prefixes are omitted (``flat``), nested ones have none."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for item in dataclasses.fields(kind):
        hint, markers = _unwrap(hints[item.name])
        if _POSITIONAL in markers:
            continue

        name = item.name.replace("_", "-")
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            inner_flat = flat or _OMIT_PREFIXES in markers
            inner_prefix = "" if inner_flat else f"{prefix}{name}."
            yield from _options(hint, prefix=inner_prefix, flat=inner_flat)
            continue

        is_list = HOLDS_COMMAS not in markers and _is_list(hint)
        choices = tuple(_choices(hint))
        yield Option(f"--{prefix}{name}", is_list, choices, takes_share=_is_number(hint))
        # tyro makes two flags of what is true or false.
        if hint is bool:
            yield Option(f"--{prefix}no-{name}")


def _unwrap(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and these."""
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    return hint.__origin__, hint.__metadata__


def _is_list(hint: Any) -> bool:
    if _is_union(hint):
        return any(_is_list(part) for part in typing.get_args(hint))
    return typing.get_origin(hint) is tuple


def _is_number(hint: Any) -> bool:
    """Whether a value is a float, or nothing."""
    if _is_union(hint):
        return any(_is_number(part) for part in typing.get_args(hint))
    return hint is float


def _choices(hint: Any) -> Iterator[str]:
    """The values of a `Literal`, alone, in a list or as an alternative to None."""
    if typing.get_origin(hint) is Literal:
        yield from typing.get_args(hint)
    elif _is_union(hint):
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        found = [tuple(_choices(part)) for part in parts]
        # Beside a name there may be any number: then not all that is allowed is known.
        if all(found):
            for choices in found:
                yield from choices
    elif typing.get_origin(hint) is tuple:
        for part in typing.get_args(hint):
            yield from _choices(part)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)
