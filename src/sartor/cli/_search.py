"""``sartor search``: find how far each layer can be compressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_search
from sartor.errors import UsageError
from sartor.runs import RunConfig, command_line, require_resumable

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.pipeline import Report


@dataclass(frozen=True)
class Search:
    """Search how much of each layer to prune and how few bits to keep.

    Five options are all one needs to begin: sartor search --model mynet:build
    --weights mynet.safetensors --data photos --budget 'macs<=50%' --out runs/a.

    On a runtime, with bits: --target onnxruntime --budget 'latency<=50%' --methods prune,quantize.

    Writes result.json, policy.json and the network into the folder of the run.

    Attributes:
        search: What to compress, on which data, to which budget.
        resume: Go on with the run in this folder, with its options; --episodes, --max-time and
            --threads may be others.
        config: A TOML file with the same options: model, weights, pretrained, data, budget, out,
            threads and track at its top, those of images in [inputs], the others in [options],
            those of how a policy is carried out in [options.compress]; the command line overrides
            it.
    """

    search: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    resume: Path | None = None
    config: Path | None = None

    def run(self, console: Console) -> None:
        """Search with progress, then print what was found."""
        if self.resume is not None:
            require_resumable(self.resume, self.search)
        search(self.search, console, resume=self.resume is not None)


def search(config: RunConfig, console: Console, *, resume: bool = False) -> None:
    """Search as the options of a run say, and print what was found."""
    from sartor.cli._tables import results_table
    from sartor.runs import Run, shown_on

    run = Run.of(config)
    done = len(run.episodes)
    if resume and config.options.most_episodes < done:
        raise UsageError(
            f"--episodes {config.options.most_episodes} is less than the {done} that are done in "
            f"{run.folder}; give more to go on"
        )
    try:
        with shown_on(console) as progress:
            result = run.search(progress, resume=resume)
    except KeyboardInterrupt:
        run.refresh()
        if run.episodes:
            console.print(f"interrupted; go on with: {_resuming(run.folder)}")
        raise
    report = result.report
    table = results_table(report)
    console.print(table)
    for sentence in _sentences(report, run.folder):
        console.print(sentence)
    steps = after_search(run.folder)
    console.print(steps)


def _sentences(report: Report, folder: Path) -> Iterator[str]:
    """What is to be known of a search beside its table."""
    from sartor.runs import delivered_words, goal_words, missed_words, percent

    if report.goal is not None:
        yield goal_words(report.goal, report.best, report.metric)

    for item in report.kept_whole:
        yield f"kept whole: {item.channels} output channels of {item.layer} ({item.reason})"

    # One sentence a reason: a network may have dozens of layers that share one.
    reasons = dict.fromkeys(report.not_refitted.values())
    for reason in reasons:
        layers = [name for name, why in report.not_refitted.items() if why == reason]
        names = ", ".join(layers)
        yield f"not refitted: {names} ({reason})"

    for layer, owner in report.shared.items():
        yield f"counted once: the weights of {layer} are those of {owner}"
    for operator in report.unknown_operators:
        yield f"not known: {operator}; its MACs are estimated by running it, at full width"

    error = report.latency_prediction_error
    if error is not None:
        within = percent(error, 1)
        yield f"latency of whole networks was predicted within {within} (median)"

    yield f"numbers of channels are multiples of {report.multiple}"
    yield from delivered_words(report)
    yield from missed_words(report)
    if report.interrupted:
        yield f"stopped after {report.episodes} episodes; go on with: {_resuming(folder)}"
    yield f"{report.episodes} episodes in {report.seconds:.0f} s, results in {folder}"


def _resuming(folder: Path) -> str:
    """The command that goes on with a run."""
    return command_line("search", "--resume", folder)
