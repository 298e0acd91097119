"""Pruning, quantizing and both under a latency that is measured, and Galen's ablations.

    python bench/joint.py methods --model resnet18 --out runs/joint        # at several latencies
    python bench/joint.py ablations --model resnet20 --out runs/ablations  # schemes and features
    python bench/joint.py methods --out runs/joint --table
    python bench/joint.py again runs/joint/runs/*-both-*                   # measure once more

Each search is a run of its own in OUT/runs, so that all can be interrupted and taken up again, and
what they found be fine-tuned and exported. Latencies of layers and sensitivities are measured once
for all of them. What was delivered is loaded from its folder and measured once more.
"""

from __future__ import annotations

import statistics
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

import sartor
from _common import SHARED, data_in, keep, kept, print_header, print_row, spread, weights_of
from sartor import targets
from sartor.compression import CompressOptions, deployable, fold, holds_network
from sartor.errors import BudgetError
from sartor.graph import Network, trace
from sartor.pipeline import Measurement, SearchOptions
from sartor.problem import Method
from sartor.runs import Result, Run, RunConfig
from sartor.targets import SURE

#: What is kept of the report of a search.
REPORTED = (
    "original",
    "best",
    "budget_met",
    "episodes",
    "seconds",
    "seconds_per_episode",
    "latency_prediction_error",
    "target",
)
PRUNE: tuple[Method, ...] = ("prune",)
QUANTIZE: tuple[Method, ...] = ("quantize",)
BOTH: tuple[Method, ...] = ("prune", "quantize")


@dataclass(frozen=True)
class Stage:
    """One search.

    Attributes:
        methods: What is searched.
        share: The bound on the latency, as a share of the original's.
    """

    methods: tuple[Method, ...]
    share: float


@dataclass(frozen=True)
class Case:
    """One row: searches one after the other, all but the last only a start for the next.

    Attributes:
        name: Of the row.
        stages: The searches.
        agent: Who decides.
        state: What the agent galen sees beside the shapes of layers.
    """

    name: str
    stages: tuple[Stage, ...]
    agent: str
    state: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class Comparison(ABC):
    """What all searches have in common.

    Attributes:
        model: Name of the network.
        target: Name of the runtime.
        out: Folder of the JSON files and of the runs.
        shared: Folder of networks and data.
        episodes: Of each search.
        seeds: Each repeats all rows.
        threads: Of PyTorch.
        multiple: Channel counts are multiples of this.
        table: Only print the table of what has been run.
    """

    model: str = "resnet18"
    target: str = "onnxruntime"
    out: Path = Path("runs/joint")
    shared: Path = SHARED
    episodes: int = 200
    seeds: tuple[int, ...] = (0,)
    threads: int = 2
    multiple: int = 8
    table: bool = False

    @abstractmethod
    def cases(self) -> Iterator[Case]:
        """All rows."""

    def run(self) -> None:
        """Run what is missing, print the table."""
        torch.set_num_threads(self.threads)
        if not self.table:
            for seed in self.seeds:
                for case in self.cases():
                    path = self.out / f"{self._name(case, seed)}.json"
                    keep(path, partial(self._run, case, seed))
        _print_table(kept(self.out))

    def _run(self, case: Case, seed: int) -> dict[str, Any]:
        """The JSON file of one row with one seed."""
        entry = {"model": self.model, "case": case.name, "seed": seed}
        try:
            result, folder = self._search(case, seed)
        except BudgetError as error:
            return {**entry, "refused": str(error)}
        again = _measure_again(folder, result.network, self.target)
        reported = {key: result.report[key] for key in REPORTED}
        return {**entry, **reported, "again": asdict(again)}

    def _search(self, case: Case, seed: int) -> tuple[Result, Path]:
        """The result of the last stage, and its folder."""
        base: Path | None = None
        for number, stage in enumerate(case.stages):
            folder = self.out / "runs" / f"{self._name(case, seed)}-{number}"
            options = self._options(case, stage, seed, base)
            config = RunConfig(
                model=self.model,
                weights=weights_of(self.model, self.shared),
                data=str(data_in(self.shared)),
                budget=f"latency<={stage.share}",
                out=folder,
                threads=self.threads,
                options=options,
            )
            result = Run.of(config).search(resume=True)
            base = folder
        return result, folder

    def _options(self, case: Case, stage: Stage, seed: int, base: Path | None) -> SearchOptions:
        options = SearchOptions(
            agent=case.agent,
            state=case.state,
            methods=stage.methods,
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
        if case.agent != "galen":
            return options
        return replace(options, seed_with=(), sensitivity=self._sensitivity(seed))

    def _sensitivity(self, seed: int) -> Path | None:
        """Ω that a search of this seed has measured; None for the first, which measures it.

        Every seed has calibration images of its own.
        """
        for folder in sorted(self.out.glob(f"runs/{self.model}-*-{seed}-0")):
            run = Run(folder)
            if run.state == "finished" and run.layout.sensitivity.exists():
                return run.layout.sensitivity
        return None

    def _name(self, case: Case, seed: int) -> str:
        return f"{self.model}-{case.name.replace(' ', '-')}-{seed}"


@dataclass(frozen=True)
class Methods(Comparison):
    """Pruning, quantizing and both, at several shares of the original's latency.

    Attributes:
        shares: The bounds.
        agent: Who decides.
    """

    shares: tuple[float, ...] = (0.3, 0.2, 0.1)
    agent: str = "evolution"

    def cases(self) -> Iterator[Case]:
        """Shares by methods."""
        for share in self.shares:
            yield Case(f"{share} prune", (Stage(PRUNE, share),), self.agent)
            yield Case(f"{share} quantize", (Stage(QUANTIZE, share),), self.agent)
            yield Case(f"{share} both", (Stage(BOTH, share),), self.agent)


@dataclass(frozen=True)
class Ablations(Comparison):
    """Galen's ablations: both at once or one after the other; what the agent sees of layers.

    Attributes:
        share: The bound.
        agents: Who decides.
    """

    model: str = "resnet20"
    seeds: tuple[int, ...] = (0, 1, 2)
    share: float = 0.6
    agents: tuple[str, ...] = ("evolution", "galen")

    def cases(self) -> Iterator[Case]:
        """Schemes by agents, then what Galen's agent sees."""
        for agent in self.agents:
            yield from self._schemes(agent)
        if "galen" in self.agents:
            yield from self._features()

    def _schemes(self, agent: str) -> Iterator[Case]:
        """Sequential ones get as many episodes per stage; the first aims at (1 + c) / 2."""
        first = (1 + self.share) / 2  # as in the paper
        pruned = (Stage(PRUNE, first), Stage(QUANTIZE, self.share))
        quantized = (Stage(QUANTIZE, first), Stage(PRUNE, self.share))
        state: tuple[Measurement, ...] = ("sensitivity",) if agent == "galen" else ()
        yield Case(f"{agent} joint", (Stage(BOTH, self.share),), agent, state)
        yield Case(f"{agent} prune then quantize", pruned, agent, state)
        yield Case(f"{agent} quantize then prune", quantized, agent, state)

    def _features(self) -> Iterator[Case]:
        stages = (Stage(BOTH, self.share),)
        both: tuple[Measurement, ...] = ("sensitivity", "latency")
        yield Case("galen joint blind", stages, "galen")
        yield Case("galen joint latency", stages, "galen", ("latency",))
        yield Case("galen joint sensitivity and latency", stages, "galen", both)


@dataclass(frozen=True)
class Again:
    """What runs delivered, measured once more on the target of their search.

    Attributes:
        runs: Folders of runs; those that delivered nothing are left out.
        threads: Of PyTorch.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    threads: int = 1

    def run(self) -> None:
        """One line for each: relative latency and its interval."""
        torch.set_num_threads(self.threads)
        for folder in filter(holds_network, self.runs):
            run = Run(folder)
            subject = run.subject()
            assert subject.data is not None
            network = trace(subject.model, subject.data.calibration.normalized())
            options = run.config.options
            found = _measure_again(folder, network, options.target, options.target_threads)
            interval = f"({found.low:.3f} – {found.high:.3f})"
            print(f"{folder.name}: {found.relative:.3f} {interval}", flush=True)


@dataclass(frozen=True)
class Interval:
    """A relative latency, from what the fastest turns allow at least to what they allow at most."""

    relative: float
    low: float
    high: float


def _measure_again(folder: Path, network: Network, target_name: str, threads: int = 1) -> Interval:
    """Relative latency of the saved network of a run, in new sessions, beside the original."""
    target = targets.make(target_name, targets.TargetOptions(threads=threads))
    found = deployable(sartor.load(folder))
    original = deployable(fold(network.module))
    with tempfile.TemporaryDirectory() as place:
        candidate_path = Path(place) / f"candidate{target.suffix}"
        original_path = Path(place) / f"original{target.suffix}"
        target.build(found, network.example_inputs, candidate_path)
        target.build(original, network.example_inputs, original_path)
        compared = target.compare(target.load(candidate_path), target.load(original_path), SURE)
    return Interval(compared.relative, compared.low, compared.high)


def _print_table(runs: Sequence[dict[str, Any]]) -> None:
    print_header(
        "network",
        "search",
        "validation",
        "test",
        "relative latency",
        "measured again",
        "bytes",
        "seconds an episode",
        "seeds",
    )
    rows = dict.fromkeys((run["model"], run["case"]) for run in runs)
    for model, case in rows:
        mine = [run for run in runs if (run["model"], run["case"]) == (model, case)]
        done = [run for run in mine if "best" in run]
        if done:
            print_row(model, case, *_cells(done), len(done))
        else:
            print_row(model, case, f"refused: {mine[0]['refused']}", *[""] * 5, len(mine))


def _cells(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of the searches of one row, over seeds."""
    best = [run["best"] for run in done]
    yield spread([100 * entry["validation"] for entry in best])
    yield spread([100 * entry["test"] for entry in best])
    yield spread([entry["latency"]["relative"] for entry in best], 3)
    yield spread([run["again"]["relative"] for run in done], 3)
    yield f"{statistics.mean(entry['size'] for entry in best):,.0f}"
    yield spread([run["seconds_per_episode"]["total"] for run in done])


if __name__ == "__main__":
    command = tyro.cli(
        Annotated[Methods, tyro.conf.subcommand("methods")]
        | Annotated[Ablations, tyro.conf.subcommand("ablations")]
        | Annotated[Again, tyro.conf.subcommand("again")]
    )
    command.run()
