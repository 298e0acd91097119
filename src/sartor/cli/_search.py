"""``sartor search``, ``sartor show`` and ``sartor demo``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tyro
from rich.console import Console

from sartor import demo
from sartor.cli._progress import search_progress
from sartor.cli._table import policy_table, results_table
from sartor.errors import RunError
from sartor.runs import RUN_FILE, RunConfig, from_folder, missed_words, read_result, run_search


@dataclass(frozen=True)
class Search:
    """Search how much of each layer to prune and how few bits to keep; writes result.json, policy.json and the network."""

    search: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    resume: Path | None = None
    """Go on with the run in this folder; all other options are taken from it."""
    config: Path | None = None
    """A TOML file with the same options, underscores for hyphens: model, weights, data, budget, out, threads and track at its
    top, the others in [options], those of how a policy is carried out in [options.compress]; the command line overrides it.
    """

    def run(self, console: Console) -> None:
        """Search with progress, then say what was found."""
        if self.resume is None:
            _search(self.search, console)
        else:
            _search(
                dataclasses.replace(from_folder(self.resume), out=self.resume), console, resume=True
            )


@dataclass(frozen=True)
class Show:
    """Show what a finished run found."""

    folder: tyro.conf.Positional[Path]

    def run(self, console: Console) -> None:
        """Print its tables."""
        report = read_result(self.folder)
        console.print(results_table(report), policy_table(report))
        for missed in missed_words(report):
            console.print(missed, highlight=False)


@dataclass(frozen=True)
class Demo:
    """Train a small network on digits, compress it to half its MACs, show the result. No download."""

    out: Path = Path("runs/demo")
    episodes: int = 60
    seed: int = 0

    def run(self, console: Console) -> None:
        """Train and search."""
        weights = self.out / "trained.safetensors"
        options = RunConfig().options
        compress = dataclasses.replace(options.compress, positions=32)
        options = dataclasses.replace(
            options, episodes=self.episodes, seed=self.seed, compress=compress
        )
        config = RunConfig(
            model="sartor.demo:DigitsNet",
            weights=weights,
            data="digits",
            out=self.out,
            options=options,
        )
        if (self.out / RUN_FILE).exists() and from_folder(self.out) != config:
            raise RunError(
                f"--out {self.out} holds a run with other options; choose another folder, or remove it"
            )
        console.print("training a small network on 1,197 images of digits", highlight=False)
        demo.train(weights, seed=self.seed)
        _search(config, console, resume=True)


def _search(config: RunConfig, console: Console, *, resume: bool = False) -> None:
    config.require_complete()
    with search_progress(console, config.options.episodes) as show:
        result = run_search(config, show, resume=resume)
    report, say = result.report, partial(console.print, highlight=False)
    console.print(results_table(report))
    for item in report["kept_whole"]:
        say(f"kept whole: {item['channels']} output channels of {item['layer']} ({item['reason']})")
    for operator in report["unknown_operators"]:
        say(f"not counted: the MACs of {operator} are unknown")
    if (missed := report["latency_prediction_error"]) is not None:
        say(f"latency of whole networks was predicted within {100 * missed:.1f} % (median)")
    for missed in missed_words(report):
        say(missed)
    if report["interrupted"]:
        say(
            f"stopped after {report['episodes']} episodes; go on with: sartor search --resume {config.out}"
        )
    say(f"{report['episodes']} episodes in {report['seconds']:.0f} s, results in {config.out}")
    say(f"next: sartor show {config.out}")
