"""The ``sartor`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

import tyro
from rich.console import Console

from sartor.cli._export import Export, Verify
from sartor.cli._finetune import Finetune
from sartor.cli._pick import Pick
from sartor.cli._report import Compare, Report
from sartor.cli._schedule import RunSchedule
from sartor.cli._search import Demo, Search, Show
from sartor.cli._sensitivity import MeasureSensitivity
from sartor.cli._targets import ListTargets
from sartor.errors import SartorError
from sartor.machine import is_main, keep_freed_memory
from sartor.runs import from_toml

_INTERRUPTED = 130
#: Prints what it is given to the letter: paths may hold brackets, and words between colons.
_console = partial(Console, soft_wrap=True, markup=False, emoji=False)
_LIST_OPTIONS = (
    "--seed-with",
    "--baselines",
    "--methods",
    "--state",
    "--augment",
    "--finetune.augment",
    "--last.augment",
    "--track",
    "--teacher.models",
    "--teacher.weights",
)


Command = (
    Annotated[Search, tyro.conf.subcommand("search")]
    | Annotated[MeasureSensitivity, tyro.conf.subcommand("sensitivity")]
    | Annotated[ListTargets, tyro.conf.subcommand("targets")]
    | Annotated[Pick, tyro.conf.subcommand("pick")]
    | Annotated[Finetune, tyro.conf.subcommand("finetune")]
    | Annotated[RunSchedule, tyro.conf.subcommand("schedule")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
)


class Runnable(Protocol):
    """What every command is."""

    def run(self, console: Console) -> None:
        """Do it, and say so."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (failed), 2 (wrong usage) or 130 (interrupted)."""
    keep_freed_memory()
    try:
        parse(sys.argv[1:] if arguments is None else arguments).run(_console(quiet=not is_main()))
    except SartorError as error:
        _console(stderr=True).print(f"sartor: {error}", highlight=False)
        sys.exit(error.exit_status)
    except OSError as error:  # a full disk, a folder that may not be written to
        _console(stderr=True).print(f"sartor: {error}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        _console(stderr=True).print("sartor: interrupted; what was recorded until now is kept")
        sys.exit(_INTERRUPTED)


def parse(arguments: Sequence[str]) -> Runnable:
    """The command that arguments name; ends the program where they name none."""
    arguments = _split_lists(arguments)
    file = _config_file(arguments)
    if file is None or arguments[:1] != ["search"]:
        return tyro.cli(
            Command,
            args=arguments,
            prog="sartor",
            description="Tailors a trained network to its hardware.",
        )
    return tyro.cli(
        Search, args=arguments[1:], prog="sartor search", default=Search(from_toml(file))
    )


def _split_lists(arguments: Sequence[str]) -> list[str]:
    """Lists may be written with commas (``--seed-with uniform,greedy``) or spaces; an empty one is ``--seed-with ''``."""
    split: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in _LIST_OPTIONS and equals:
            split += [name, *filter(None, value.split(","))]
        elif split and split[-1] in _LIST_OPTIONS and not argument.startswith("--"):
            split += filter(None, argument.split(","))
        else:
            split.append(argument)
    return split


def _config_file(arguments: Sequence[str]) -> Path | None:
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--config":
            return Path(value) if value else Path(*arguments[index + 1 : index + 2])
    return None
