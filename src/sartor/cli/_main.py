"""The entry point of the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from sartor.errors import SartorError
from sartor.machine import VERSION, is_main, keep_freed_memory, require

_FAILED = 1
# What shells report of a program that SIGINT ended: 128 and the number of the signal.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, those of the process if none are given.

    Exits with status 0, 1 (failed), 2 (wrong usage) or 130 (interrupted).
    """
    keep_freed_memory()
    _find_modules_here()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(given)
    except SartorError as error:
        _stop(str(error), error.exit_status)
    except OSError as error:  # a full disk, a folder that may not be written to
        _stop(str(error), _FAILED)
    except KeyboardInterrupt:
        _stop("interrupted; what was recorded until now is kept", _INTERRUPTED)


def _run(arguments: list[str]) -> None:
    # Answered without the packages of the command line: it must work where they are missing.
    if arguments == ["--version"]:
        sys.stdout.write(f"sartor {VERSION}\n")
        return

    require("tyro", extra="cli")
    require("rich", extra="cli")
    from rich.console import Console

    from sartor.cli._log import log_lines
    from sartor.cli._parse import parse

    command = parse(arguments or ["--help"])
    # Text is printed to the letter: paths may hold brackets, and words between colons.
    console = Console(
        soft_wrap=True,
        markup=False,
        emoji=False,
        highlight=False,
        quiet=not is_main(),
    )
    with log_lines(console):
        command.run(console)


def _find_modules_here() -> None:
    """Let ``--model package.module:callable`` name a module of the current folder.

    Last on the path: no file that lies there may take the place of an installed package.
    """
    here = os.getcwd()
    names_of_here = {"", here}
    if names_of_here.isdisjoint(sys.path):
        sys.path.append(here)


def _stop(sentence: str, status: int) -> NoReturn:
    sys.stderr.write(f"sartor: {sentence}\n")
    sys.exit(status)
