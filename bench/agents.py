"""Which search is worth using: every agent on the same environment, budget, refitting and number of episodes.

    python bench/agents.py --model resnet20 --budgets 'macs<=50%' 'macs<=35%' --out runs/agents
    python bench/agents.py --out runs/agents --table

Each run leaves one JSON file, so the comparison can be interrupted and taken up again. Rewards are top-1 on the same 1,000
validation images for all (in one row: fidelity to the original's outputs on them); the two best policies of a run are refitted
from 512 images and scored on all 5,000 in fp32, the better one once on the test images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro

from _common import SHARED, keep, kept, spread, subject
from sartor.compression import CompressOptions
from sartor.pipeline import SearchOptions
from sartor.runs import compress

RULES = ("uniform", "shallow", "deep", "greedy", "knapsack")
SEEDED: tuple[str, ...] = ("uniform", "greedy", "knapsack")
#: Agent, rules that come first, reward.
SEARCHES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "random": ("random", (), "accuracy"),
    "tpe": ("tpe", (), "accuracy"),
    "cma-es": ("cma-es", (), "accuracy"),
    "ddpg": ("ddpg", (), "accuracy"),
    "ddpg, seeded": ("ddpg", SEEDED, "accuracy"),
    "evolution, seeded": ("evolution", SEEDED, "accuracy"),
    "evolution, seeded, by fidelity": ("evolution", SEEDED, "fidelity"),
}


@dataclass(frozen=True)
class Arguments:
    """Comparison of agents."""

    model: str = "resnet20"
    budgets: tuple[str, ...] = ("macs<=50%",)
    out: Path = Path("runs/agents")
    shared: Path = SHARED
    episodes: int = 300
    seeds: int = 3
    threads: int = 1
    agents: tuple[str, ...] = (*RULES, *SEARCHES)
    """Which of them to run."""
    table: bool = False
    """Only print the table of what has been run."""


def main() -> None:
    """Run what is missing, print the table."""
    arguments = tyro.cli(Arguments)
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        jobs = [
            (seed, b, name)
            for seed in range(arguments.seeds)
            for b in arguments.budgets
            for name in arguments.agents
        ]
        for seed, budget, name in jobs:
            path = (
                arguments.out
                / f"{arguments.model}-{re.sub('[^0-9a-z]', '', budget)}-{re.sub('[^a-z]', '', name)}-{seed}.json"
            )
            keep(path, partial(_run, arguments, budget, name, seed))
    _print_table(arguments.out)


def _run(arguments: Arguments, budget: str, name: str, seed: int) -> dict[str, Any]:
    model, images = subject(arguments.model, calibration=512, seed=seed, shared=arguments.shared)
    agent, seed_with, reward = SEARCHES.get(name, (name, (), "accuracy"))
    options = SearchOptions(
        agent=agent,
        episodes=arguments.episodes if name in SEARCHES else 1,
        seed=seed,
        seed_with=seed_with,
        baselines=(),
        reward=reward,
        reward_images=1000,
        finalists=2,
        compress=CompressOptions(images=128, final_images=512),
    )
    report = compress(model, images, budget=budget, options=options).report
    told = ("original", "best", "episodes", "seconds", "seconds_per_episode", "policy")
    return {
        "model": arguments.model,
        "budget": budget,
        "name": name,
        "seed": seed,
        **{key: report[key] for key in told},
    }


def _print_table(folder: Path) -> None:
    runs = kept(folder)
    for model, budget in sorted({(run["model"], run["budget"]) for run in runs}):
        here = [run for run in runs if (run["model"], run["budget"]) == (model, budget)]
        original = here[0]["original"]
        print(
            f"\n{model}, {budget} (original: validation {100 * original['validation']:.2f}, test {100 * original['test']:.2f})\n"
        )
        print("| agent | validation | test | MACs | seeds |\n|---|---|---|---|---|")
        for name in (*RULES, *SEARCHES):
            mine = [run for run in here if run["name"] == name]
            if mine:
                ratio = max(run["best"]["ratio"]["macs"] for run in mine)
                cells = [
                    spread([100 * run["best"][part] for run in mine])
                    for part in ("validation", "test")
                ]
                print(f"| {name} | {cells[0]} | {cells[1]} | {100 * ratio:.1f} % | {len(mine)} |")


if __name__ == "__main__":
    main()
