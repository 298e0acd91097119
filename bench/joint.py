"""Pruning, quantizing and both together under a latency that is measured; and what the parts of the joint search are worth.

    python bench/joint.py methods --model resnet18 --out runs/joint        # what to search, at several latencies
    python bench/joint.py ablations --model resnet20 --out runs/ablations  # sequential schemes, and the features of the state
    python bench/joint.py methods --out runs/joint --table
    python bench/joint.py again runs/joint/runs/*-both-*                   # measure what was delivered once more

Each search is a run of its own in OUT/runs, so that all can be interrupted and taken up again, and what they found be fine-tuned
and exported; latencies of layers and sensitivities are measured once for all of them. What was delivered is loaded from its
folder and measured once more.
"""

from __future__ import annotations

import statistics
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

import sartor
from _common import SHARED, data_in, keep, kept, spread, weights_of
from sartor import targets
from sartor.compression import CompressOptions, deployable, fold, holds_network
from sartor.errors import BudgetError
from sartor.graph import Network, trace
from sartor.pipeline import Measurement, SearchOptions
from sartor.problem import Method
from sartor.runs import Run, RunConfig
from sartor.targets import SURE

#: What is kept of the report of a search.
_TOLD = (
    "original",
    "best",
    "budget_met",
    "episodes",
    "seconds",
    "seconds_per_episode",
    "latency_prediction_error",
    "target",
)


@dataclass(frozen=True)
class Case:
    """One row: searches one after the other (methods, share of the latency), all but the last only a start for the next."""

    name: str
    stages: tuple[tuple[tuple[Method, ...], float], ...]
    agent: str
    state: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class Common(ABC):
    """What all searches have in common."""

    model: str = "resnet18"
    target: str = "onnxruntime"
    out: Path = Path("runs/joint")
    shared: Path = SHARED
    episodes: int = 200
    seeds: tuple[int, ...] = (0,)
    threads: int = 2
    multiple: int = 8
    table: bool = False
    """Only print the table of what has been run."""

    @abstractmethod
    def cases(self) -> Iterator[Case]:
        """All rows."""

    def run(self) -> None:
        """Run what is missing, print the table."""
        torch.set_num_threads(self.threads)
        if not self.table:
            for seed in self.seeds:
                for case in self.cases():
                    path = self.out / f"{self.model}-{case.name.replace(' ', '-')}-{seed}.json"
                    keep(path, partial(self._run, case, seed))
        _print_table(self.out)

    def _run(self, case: Case, seed: int) -> dict[str, Any]:
        told = {"model": self.model, "case": case.name, "seed": seed}
        base: Path | None = None
        for number, (methods, share) in enumerate(case.stages):
            folder = (
                self.out / "runs" / f"{self.model}-{case.name.replace(' ', '-')}-{seed}-{number}"
            )
            options = SearchOptions(
                agent=case.agent,
                state=case.state,
                methods=methods,
                episodes=self.episodes,
                seed=seed,
                target=self.target,
                multiple=self.multiple,
                base=base,
                baselines=(),
                finalists=3,
                min_keep=0.1,
                compress=CompressOptions(images=128, final_images=512),
                table=self.out / f"runs/{self.model}-latency.json",
            )
            if case.agent == "galen":
                options = replace(options, seed_with=(), sensitivity=self._sensitivity(seed))
            config = RunConfig(
                model=self.model,
                weights=weights_of(self.model, self.shared),
                data=str(data_in(self.shared)),
                budget=f"latency<={share}",
                out=folder,
                threads=self.threads,
                options=options,
            )
            try:
                result = Run.of(config).search(resume=True)
            except BudgetError as error:
                return {**told, "refused": str(error)}
            base = folder
        again = _measure_again(folder, result.network, self.target)
        return {**told, **{key: result.report[key] for key in _TOLD}, "again": asdict(again)}

    def _sensitivity(self, seed: int) -> Path | None:
        """Ω that a search of this seed, which has calibration images of its own, has measured; the first measures it itself."""
        folders = sorted(self.out.glob(f"runs/{self.model}-*-{seed}-0"))
        runs = [Run(folder) for folder in folders]
        found = [run.layout.sensitivity for run in runs if run.state == "finished"]
        return next((path for path in found if path.exists()), None)


@dataclass(frozen=True)
class Methods(Common):
    """Pruning, quantizing and both, at several shares of the original's latency."""

    shares: tuple[float, ...] = (0.3, 0.2, 0.1)
    agent: str = "evolution"

    def cases(self) -> Iterator[Case]:
        """Shares by methods."""
        methods: dict[str, tuple[Method, ...]] = {
            "prune": ("prune",),
            "quantize": ("quantize",),
            "both": ("prune", "quantize"),
        }
        for share in self.shares:
            for name, chosen in methods.items():
                yield Case(f"{share} {name}", ((chosen, share),), self.agent)


@dataclass(frozen=True)
class Ablations(Common):
    """Galen's ablations: both at once or one after the other; what the agent is told of each layer."""

    model: str = "resnet20"
    seeds: tuple[int, ...] = (0, 1, 2)
    share: float = 0.6
    agents: tuple[str, ...] = ("evolution", "galen")

    def cases(self) -> Iterator[Case]:
        """Sequential schemes get as many episodes per stage; the first aims at (1 + c) / 2, as the paper's."""
        first = (1 + self.share) / 2
        for agent in self.agents:
            state: tuple[Measurement, ...] = ("sensitivity",) if agent == "galen" else ()
            yield Case(f"{agent} joint", ((("prune", "quantize"), self.share),), agent, state)
            yield Case(
                f"{agent} prune then quantize",
                ((("prune",), first), (("quantize",), self.share)),
                agent,
                state,
            )
            yield Case(
                f"{agent} quantize then prune",
                ((("quantize",), first), (("prune",), self.share)),
                agent,
                state,
            )
        if "galen" not in self.agents:
            return
        both: tuple[Measurement, ...] = ("sensitivity", "latency")
        yield Case("galen joint blind", ((("prune", "quantize"), self.share),), "galen")
        yield Case(
            "galen joint latency", ((("prune", "quantize"), self.share),), "galen", ("latency",)
        )
        yield Case(
            "galen joint sensitivity and latency",
            ((("prune", "quantize"), self.share),),
            "galen",
            both,
        )


@dataclass(frozen=True)
class Again:
    """What runs delivered, measured once more on the target of their search: relative latency and its interval."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    threads: int = 1

    def run(self) -> None:
        """One line for each that delivered something."""
        torch.set_num_threads(self.threads)
        for folder in filter(holds_network, self.runs):
            run = Run(folder)
            subject = run.subject()
            assert subject.data is not None
            images = subject.data
            options = run.config.options
            found = _measure_again(
                folder,
                trace(subject.model, images.calibration.normalized()),
                options.target,
                options.target_threads,
            )
            print(
                f"{folder.name}: {found.relative:.3f} ({found.low:.3f} – {found.high:.3f})",
                flush=True,
            )


@dataclass(frozen=True)
class Interval:
    """A relative latency, from what the fastest turns allow at least to what they allow at most."""

    relative: float
    low: float
    high: float


def _measure_again(folder: Path, network: Network, target_name: str, threads: int = 1) -> Interval:
    """Relative latency of the saved network of a run, in new sessions, beside the original ``network``."""
    target = targets.make(target_name, targets.TargetOptions(threads=threads))
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{name}{target.suffix}" for name in ("candidate", "original")]
        for path, module in zip(paths, (sartor.load(folder), fold(network.module)), strict=True):
            target.build(deployable(module), network.example_inputs, path)
        candidate, original = map(target.load, paths)
        found = target.compare(candidate, original, SURE)
    return Interval(found.relative, found.low, found.high)


def _print_table(folder: Path) -> None:
    runs = kept(folder)
    print(
        "| network | search | validation | test | relative latency | measured again | bytes | seconds an episode | seeds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for model, case in dict.fromkeys((run["model"], run["case"]) for run in runs):
        mine = [run for run in runs if (run["model"], run["case"]) == (model, case)]
        done = [run for run in mine if "best" in run]
        if not done:
            print(f"| {model} | {case} | refused: {mine[0]['refused']} | | | | | | {len(mine)} |")
            continue
        cells = [
            spread([100 * run["best"][part] for run in done]) for part in ("validation", "test")
        ]
        latency = spread([run["best"]["latency"]["relative"] for run in done], 3)
        again = spread([run["again"]["relative"] for run in done], 3)
        size = statistics.mean(run["best"]["size"] for run in done)
        seconds = spread([run["seconds_per_episode"]["total"] for run in done])
        print(
            f"| {model} | {case} | {cells[0]} | {cells[1]} | {latency} | {again} | {size:,.0f} | {seconds} | {len(done)} |"
        )


if __name__ == "__main__":
    tyro.cli(
        Annotated[Methods, tyro.conf.subcommand("methods")]
        | Annotated[Ablations, tyro.conf.subcommand("ablations")]
        | Annotated[Again, tyro.conf.subcommand("again")]
    ).run()
