"""Arguments as they were meant: lists with commas are split, and misspelt names get the nearest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from sartor.cli._options import Option
from sartor.errors import UsageError
from sartor.registry import nearest


def spell_out(arguments: Sequence[str], options: Mapping[str, Option]) -> list[str]:
    """The same arguments with one value a word.

    Lists may be written with spaces or commas, ``--seed-with uniform,greedy``; an empty one is
    ``--seed-with ''``. Underscores in names of options stand for hyphens, ``93%`` for 0.93.

    Raises `UsageError`, with the nearest name, for an option or a choice that does not exist.
    """
    words: list[str] = []
    option: Option | None = None
    for argument in arguments:
        if not argument.startswith("--"):
            words += _values(argument, option)
            continue

        name, equals, value = argument.partition("=")
        option = find_option(name, options)
        values = _values(value, option) if equals else []
        if equals and not option.takes_list:
            # One word, so that a value may begin with a hyphen.
            words.append(f"{option.name}={values[0]}")
        else:
            words += [option.name, *values]
    return words


def find_option(name: str, options: Mapping[str, Option]) -> Option:
    """The option of a name. Raises `UsageError`, with the nearest one, if there is none."""
    hyphenated = name.replace("_", "-")
    if hyphenated in options:
        return options[hyphenated]
    meant = _did_you_mean(hyphenated, options)
    raise UsageError(f"option {name} is not known; {meant}--help lists all")


def _values(text: str, option: Option | None) -> list[str]:
    """The values in one word that belongs to an option, or, without one, to the command itself."""
    if option is None:
        return [text]
    values = [text]
    if option.takes_list:
        values = [value for value in text.split(",") if value]
    if option.takes_share:
        values = [_share(value) for value in values]
    for value in values:
        _require_choice(value, option)
    return values


def _share(text: str) -> str:
    """A percentage as a fraction; any other text as it is."""
    if not text.endswith("%"):
        return text
    try:
        share = Decimal(text.removesuffix("%")) / 100
    except ArithmeticError:
        return text  # tyro says that it is no number
    return f"{share:f}"


def _require_choice(value: str, option: Option) -> None:
    choices = option.choices
    if not choices or value in choices:
        return
    meant = _did_you_mean(value, choices)
    allowed = ", ".join(choices)
    raise UsageError(f"{option.name} is {value!r}; {meant}allowed are {allowed}")


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    meant = nearest(name, names)
    return "" if meant is None else f"did you mean {meant}? "
