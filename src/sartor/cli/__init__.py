"""The ``sartor`` command."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from sartor import demo
from sartor._allocator import keep_freed_memory
from sartor.cli._export import Export, Verify
from sartor.cli._finetune import Finetune
from sartor.cli._progress import SearchProgress
from sartor.cli._report import Compare, Report
from sartor.cli._schedule import RunSchedule
from sartor.cli._sensitivity import MeasureSensitivity
from sartor.cli._table import policy_table, results_table
from sartor.cli._targets import ListTargets
from sartor.config import RunConfig, from_folder, from_toml
from sartor.errors import SartorError
from sartor.run import read_result, run_search

_INTERRUPTED = 130
_LIST_OPTIONS = ("--seed-with", "--baselines", "--methods", "--state", "--augment", "--finetune.augment", "--track")


@dataclass(frozen=True)
class Search:
    """Search how much of each layer to prune; writes result.json, policy.json and the pruned network."""

    run: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    resume: Path | None = None
    """Go on with the run in this folder; all other options are taken from it."""
    config: Path | None = None
    """A TOML file with the same options; the command line overrides it."""


@dataclass(frozen=True)
class Show:
    """Show what a finished run found."""

    folder: tyro.conf.Positional[Path]


@dataclass(frozen=True)
class Demo:
    """Train a small network on digits, compress it to half its MACs, show the result. No download."""

    out: Path = Path("runs/demo")
    episodes: int = 60
    seed: int = 0


Command = (
    Annotated[Search, tyro.conf.subcommand("search")]
    | Annotated[MeasureSensitivity, tyro.conf.subcommand("sensitivity")]
    | Annotated[ListTargets, tyro.conf.subcommand("targets")]
    | Annotated[Finetune, tyro.conf.subcommand("finetune")]
    | Annotated[RunSchedule, tyro.conf.subcommand("schedule")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (failed), 2 (wrong usage) or 130 (interrupted)."""
    keep_freed_memory()
    arguments = _split_lists(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        _dispatch(_parse(arguments), console)
    except SartorError as error:
        Console(stderr=True, soft_wrap=True).print(f"sartor: {error}", highlight=False, markup=False)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        Console(stderr=True).print("sartor: interrupted before there was anything to deliver")
        sys.exit(_INTERRUPTED)


AnyCommand = Search | Finetune | RunSchedule | Export | Verify | Report | Compare | MeasureSensitivity | ListTargets | Show | Demo


def _parse(arguments: list[str]) -> AnyCommand:
    file = _config_file(arguments)
    if file is None or arguments[:1] != ["search"]:
        return tyro.cli(Command, args=arguments, prog="sartor", description="Tailors a trained network to its hardware.")
    return tyro.cli(Search, args=arguments[1:], prog="sartor search", default=Search(from_toml(file)))


def _split_lists(arguments: Sequence[str]) -> list[str]:
    """Lists may be written with commas (``--seed-with uniform,greedy``) or spaces; an empty one is ``--seed-with ''``."""
    split: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in _LIST_OPTIONS and equals:
            split += [name, *filter(None, value.split(","))]
        elif split and split[-1] in _LIST_OPTIONS:
            split += filter(None, argument.split(","))
        else:
            split.append(argument)
    return split


def _config_file(arguments: list[str]) -> Path | None:
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--config":
            return Path(value) if value else Path(*arguments[index + 1 : index + 2])
    return None


def _dispatch(command: AnyCommand, console: Console) -> None:
    if isinstance(command, (MeasureSensitivity, ListTargets, Finetune, RunSchedule, Export, Verify, Report, Compare)):
        command.run(console)
    elif isinstance(command, Show):
        report = read_result(command.folder)
        console.print(results_table(report), policy_table(report))
    elif isinstance(command, Demo):
        _demo(command, console)
    elif command.resume is not None:
        config = dataclasses.replace(from_folder(command.resume), out=command.resume)
        _search(config, console, resume=True)
    else:
        _search(command.run, console)


def _search(config: RunConfig, console: Console, *, resume: bool = False) -> None:
    config.require_complete()
    with SearchProgress(console, config.options.episodes) as progress:
        result = run_search(config, progress.show, resume=resume)
    report = result.report
    console.print(results_table(report))
    for item in report["kept_whole"]:
        console.print(f"kept whole: {item['channels']} output channels of {item['layer']} ({item['reason']})", highlight=False)
    for operator in report["unknown_operators"]:
        console.print(f"not counted: the MACs of {operator} are unknown", highlight=False)
    if (missed := report["latency_prediction_error"]) is not None:
        console.print(f"latency of whole networks was predicted within {100 * missed:.1f} % (median)", highlight=False)
    if not report["budget_met"]:
        console.print(f"the budget {report['budget']} was NOT met: no finalist was fast enough when measured", highlight=False)
    if report["interrupted"]:
        console.print(
            f"stopped after {report['episodes']} episodes; go on with: sartor search --resume {config.out}", highlight=False
        )
    console.print(f"{report['episodes']} episodes in {report['seconds']:.0f} s, results in {config.out}", highlight=False)
    console.print(f"next: sartor show {config.out}", highlight=False)


def _demo(command: Demo, console: Console) -> None:
    weights = command.out / "trained.safetensors"
    console.print("training a small network on 1,197 images of digits", highlight=False)
    demo.train(weights, seed=command.seed)
    options = RunConfig().options
    options = dataclasses.replace(
        options,
        episodes=command.episodes,
        seed=command.seed,
        compress=dataclasses.replace(options.compress, positions=32),
    )
    config = RunConfig(model="sartor.demo:DigitsNet", weights=weights, data="digits", out=command.out, options=options)
    _search(config, console, resume=True)
