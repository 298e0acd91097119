"""From the words of a command line to the command that they name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import tyro

from sartor.cli._options import Option, options_of
from sartor.cli._spelling import find_option, spell_out
from sartor.errors import UsageError
from sartor.registry import Registry

if TYPE_CHECKING:
    from rich.console import Console


class Runnable(Protocol):
    """What every command is: a dataclass of its options."""

    def run(self, console: Console) -> None:
        """Carry the command out, and print what came of it."""


#: Every command by its name.
COMMANDS: Registry[type[Runnable]] = Registry(
    "command",
    {
        "search": "sartor.cli._search:Search",
        "sensitivity": "sartor.cli._sensitivity:MeasureSensitivity",
        "targets": "sartor.cli._targets:ListTargets",
        "pick": "sartor.cli._pick:Pick",
        "repair": "sartor.cli._repair:Repair",
        "finetune": "sartor.cli._finetune:Finetune",
        "schedule": "sartor.cli._schedule:RunSchedule",
        "export": "sartor.cli._export:Export",
        "verify": "sartor.cli._verify:Verify",
        "report": "sartor.cli._report:WriteReport",
        "compare": "sartor.cli._compare:Compare",
        "show": "sartor.cli._show:Show",
        "demo": "sartor.cli._demo:Demo",
    },
)

# Options that stand where the name of a command does.
_BEFORE = {name: Option(name) for name in ("-h", "--help", "--version")}


def parse(arguments: Sequence[str]) -> Runnable:
    """The command that arguments name, with its options.

    Ends the program where they ask for help, or where tyro cannot read a value. Raises
    `UsageError`, with the nearest name, for a command, option or choice that does not exist.
    """
    name, *rest = arguments
    if name.startswith("-"):
        find_option(name, _BEFORE)
        return _print_help()

    command = COMMANDS.get(name)
    words = spell_out(rest, options_of(command))
    program = f"sartor {name}"
    if name == "search":
        config = _value_of("--config", words)
        resumed = _value_of("--resume", words)
        if config is not None or resumed is not None:
            default = _search_of(config, resumed)
            return tyro.cli(command, args=words, prog=program, default=default)
    return tyro.cli(command, args=words, prog=program)


def _print_help() -> Runnable:
    commands: dict[str, Callable[..., Runnable]] = {}
    for name in COMMANDS:
        commands[name] = COMMANDS.get(name)
    return tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="sartor",
        description="Tailors a trained network to its hardware.",
        args=["--help"],
    )


def _search_of(config: Path | None, resumed: Path | None) -> Runnable:
    """The search that a file or the folder of a run describes; the other options override it."""
    from sartor.cli._search import Search
    from sartor.runs import RunConfig

    if resumed is None:
        assert config is not None
        return Search(RunConfig.from_toml(config))
    if config is not None:
        raise UsageError(
            f"--config {config} and --resume {resumed} both say what to search; choose one"
        )
    # The folder may have been moved.
    stored = RunConfig.read(resumed)
    return Search(dataclasses.replace(stored, out=resumed), resume=resumed)


def _value_of(option: str, words: Sequence[str]) -> Path | None:
    # Read before all other options: these override what is there.
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != option:
            continue
        if equals:
            return Path(value)
        if index + 1 < len(words):
            return Path(words[index + 1])
    return None
