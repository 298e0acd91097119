"""Families of things that have names: agents, rewards, targets, formats, trackers, data sources."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar, cast

from sartor.errors import UsageError

Member = TypeVar("Member")

#: How much of two names must agree for one to be meant by the other; difflib's own usual share.
_ALIKE = 0.6


class Registry(Generic[Member]):
    """The members of one ``family`` by name.

    Adding one is one line, here or in a package of your own. A member is an object, or a reference
    ``package.module:attribute`` to one that is imported when it is first asked for, so that a list
    of names costs no import. A name that is itself such a reference is looked up where it points
    to: it need not be registered.

    >>> colours = Registry("colour", {"red": "ff0000"})
    >>> colours.register("blue", "0000ff")
    >>> colours.get("blue")
    '0000ff'
    >>> colours.require("blu")
    Traceback (most recent call last):
    sartor.errors.UsageError: colour 'blu' is not known; did you mean 'blue'? allowed are red, blue
    """

    def __init__(self, family: str, members: Mapping[str, Member | str] | None = None) -> None:
        self.family = family
        self._members: dict[str, Member | str] = dict(members or {})

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they were registered."""
        return tuple(self._members)

    def register(self, name: str, member: Member | str) -> None:
        """Add a member. Raises `UsageError` for a name that is taken."""
        if name in self._members:
            raise UsageError(f"{self.family} {name!r} is there already; choose another name")
        self._members[name] = member

    def require(self, name: str) -> None:
        """Raise `UsageError`, with the nearest name, for a name that nobody has.

        Nothing is imported for it.
        """
        if name in self._members or ":" in name:
            return
        meant = did_you_mean(name, self._members)
        allowed = ", ".join(self._members)
        raise UsageError(f"{self.family} {name!r} is not known; {meant}allowed are {allowed}")

    def get(self, name: str) -> Member:
        """The member of a name. Raises `UsageError` for a name that nobody has."""
        self.require(name)
        member = self._members.get(name, name)
        if isinstance(member, str) and ":" in member:
            member = cast("Member", import_object(member, self.family))
            if name in self._members:
                self._members[name] = member
        return cast("Member", member)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that a misspelt one is likely to mean, the first of several that are equally near.

    >>> nearest("resnet21", ["plain20", "resnet20", "resnet32"])
    'resnet20'
    >>> nearest("lstm", ["plain20", "resnet20"]) is None
    True
    """
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(name)
    best = None
    closest = 0.0
    for candidate in names:
        matcher.set_seq1(candidate)
        ratio = matcher.ratio()
        if ratio >= _ALIKE and ratio > closest:
            best = candidate
            closest = ratio
    return best


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The question in an error's sentence, with a space behind it; empty where nothing is near.

    >>> did_you_mean("resnet21", ["plain20", "resnet20"])
    "did you mean 'resnet20'? "
    """
    meant = nearest(name, names)
    return "" if meant is None else f"did you mean {meant!r}? "


def import_object(reference: str, what: str) -> object:
    """What ``package.module:attribute`` points to; attributes may be nested, with dots.

    Raises `UsageError`, which calls it ``what``, if it cannot be imported.

    >>> import_object("math:pi", "number")
    3.141592653589793
    """
    module_name, _, attribute = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:  # somebody else's module may raise anything while it is imported
        raise UsageError(f"{what} {reference!r} cannot be imported: {error}") from error
    return found
