"""Which search is worth using: every agent on the same environment, budget and number of episodes.

    python bench/agents.py --model resnet20 --budgets 'macs<=50%' 'macs<=35%' --out runs/agents
    python bench/agents.py --out runs/agents --table

Each run leaves one JSON file, so the comparison can be interrupted and taken up again. Rewards are
top-1 on the same 1,000 validation images for all (in one row: fidelity to the original's outputs on
them). The two best policies of a run are refitted from 512 images and scored on all 5,000 in fp32,
the better one once on the test images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro

from _common import SHARED, keep, kept, print_header, print_row, spread, subject
from sartor.compression import CompressOptions
from sartor.pipeline import SearchOptions
from sartor.runs import compress

RULES = ("uniform", "shallow", "deep", "greedy", "knapsack")
SEEDED: tuple[str, ...] = ("uniform", "greedy", "knapsack")
#: What is kept of the report of a search.
REPORTED = ("original", "best", "episodes", "seconds", "seconds_per_episode", "policy")


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        agent: Who decides.
        seed_with: Rules that come first.
        reward: What is maximised.
        searches: Whether it needs more than one episode.
    """

    agent: str
    seed_with: tuple[str, ...] = ()
    reward: str = "accuracy"
    searches: bool = True


METHODS = {
    **{rule: Method(rule, searches=False) for rule in RULES},
    "random": Method("random"),
    "tpe": Method("tpe"),
    "cma-es": Method("cma-es"),
    "ddpg": Method("ddpg"),
    "ddpg, seeded": Method("ddpg", SEEDED),
    "evolution, seeded": Method("evolution", SEEDED),
    "evolution, seeded, by fidelity": Method("evolution", SEEDED, "fidelity"),
}


@dataclass(frozen=True)
class Arguments:
    """Comparison of agents.

    Attributes:
        model: Name of the network.
        budgets: Every one is a comparison of its own.
        out: Folder of the JSON files.
        shared: Folder of networks and data.
        episodes: Of each search.
        seeds: How many, from 0.
        threads: Of PyTorch.
        agents: Which of them to run.
        table: Only print the table of what has been run.
    """

    model: str = "resnet20"
    budgets: tuple[str, ...] = ("macs<=50%",)
    out: Path = Path("runs/agents")
    shared: Path = SHARED
    episodes: int = 300
    seeds: int = 3
    threads: int = 1
    agents: tuple[str, ...] = tuple(METHODS)
    table: bool = False


def main() -> None:
    """Run what is missing, print the table."""
    arguments = tyro.cli(Arguments)
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        for seed, budget, name in _jobs(arguments):
            path = arguments.out / _file_name(arguments.model, budget, name, seed)
            keep(path, partial(_run, arguments, budget, name, seed))
    _print_tables(kept(arguments.out))


def _jobs(arguments: Arguments) -> Iterator[tuple[int, str, str]]:
    for seed in range(arguments.seeds):
        for budget in arguments.budgets:
            for name in arguments.agents:
                yield seed, budget, name


def _file_name(model: str, budget: str, name: str, seed: int) -> str:
    of_budget = re.sub("[^0-9a-z]", "", budget)
    of_method = re.sub("[^a-z]", "", name)
    return f"{model}-{of_budget}-{of_method}-{seed}.json"


def _run(arguments: Arguments, budget: str, name: str, seed: int) -> dict[str, Any]:
    model, images = subject(arguments.model, calibration=512, seed=seed, shared=arguments.shared)
    method = METHODS[name]
    options = SearchOptions(
        agent=method.agent,
        episodes=arguments.episodes if method.searches else 1,
        seed=seed,
        seed_with=method.seed_with,
        baselines=(),
        reward=method.reward,
        reward_images=1000,
        finalists=2,
        compress=CompressOptions(images=128, final_images=512),
    )
    report = compress(model, images, budget=budget, options=options).report
    reported = {key: report[key] for key in REPORTED}
    return {"model": arguments.model, "budget": budget, "name": name, "seed": seed, **reported}


def _print_tables(runs: list[dict[str, Any]]) -> None:
    comparisons = sorted({(run["model"], run["budget"]) for run in runs})
    for model, budget in comparisons:
        here = [run for run in runs if (run["model"], run["budget"]) == (model, budget)]
        original = here[0]["original"]
        validation = f"validation {100 * original['validation']:.2f}"
        test = f"test {100 * original['test']:.2f}"
        print(f"\n{model}, {budget} (original: {validation}, {test})\n")
        print_header("agent", "validation", "test", "MACs", "seeds")
        for name in METHODS:
            mine = [run["best"] for run in here if run["name"] == name]
            if mine:
                _print_method(name, mine)


def _print_method(name: str, found: list[dict[str, Any]]) -> None:
    validation = spread([100 * best["validation"] for best in found])
    test = spread([100 * best["test"] for best in found])
    macs = max(best["ratio"]["macs"] for best in found)
    print_row(name, validation, test, f"{100 * macs:.1f} %", len(found))


if __name__ == "__main__":
    main()
