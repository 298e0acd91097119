"""What the reward of a candidate says of what is delivered: rank correlations over policies.

    python bench/proxies.py runs/a --out runs/proxies

Policies are those of a search that were scored in full, evenly spread over their rewards. Each is
built as a search builds it, from a few numbers of images, and as it is delivered, then repaired.
Spearman's rank correlation of each with the accuracy on the test images, refitted and repaired.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy.stats import spearmanr

from _common import keep, kept, print_header, print_row
from _searched import Searched
from sartor.compression import block_outputs
from sartor.data import Images
from sartor.machine import keep_freed_memory, reproducible
from sartor.policy import Policy
from sartor.repair import RepairOptions, repair
from sartor.runs import Run
from sartor.scoring import Score

#: Calibration images and reward images that a search may have.
_WAYS = ((256, 1000), (512, 1000), (256, 5000), (512, 5000))
#: What all else is held against.
_GOALS = ("test, refitted", "test, repaired")
keep_freed_memory()


@dataclass(frozen=True)
class Arguments:
    """What rewards say.

    Attributes:
        run: Folder of a search.
        out: Folder for what is measured; policies that are in it are not measured again.
        policies: How many.
        shown: Images that each is shown in its repair.
    """

    run: tyro.conf.Positional[Path]
    out: Path = Path("runs/proxies")
    policies: int = 50
    shown: int = 6400


def main() -> None:
    """Measure what is missing, then print the table."""
    arguments = tyro.cli(Arguments)
    run = Run(arguments.run)
    searched = Searched.of(run, calibration=8192)
    scored = [episode for episode in run.episodes if not episode.outcome.stopped]
    scored.sort(key=lambda episode: episode.reward)
    places = np.linspace(0, len(scored) - 1, min(arguments.policies, len(scored))).round()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for place in dict.fromkeys(places.astype(int).tolist()):
        policy = searched.policy(scored[place].executed)
        measure = functools.partial(_measured, searched, policy, arguments.shown)
        with reproducible(torch.device("cpu")):
            keep(arguments.out / f"{scored[place].number}.json", measure)
    _print(arguments.out)


def _measured(searched: Searched, policy: Policy, shown: int) -> dict[str, float]:
    """Each measure of a policy, larger is better."""
    validation = searched.data.validation
    found = {}
    for refitted, images in _WAYS:
        candidate = searched.refitted_from(0, refitted).candidate(policy)
        score = searched.scorer(validation, images).score(candidate)
        name = f"{refitted} to refit, {images:,} for the reward"
        found[f"{name}: fidelity"] = _fidelity(score)
        found[f"{name}: accuracy"] = score.accuracy

    compressor = searched.compressor
    delivered = compressor.candidate(policy, final=True)
    mended = repair(
        delivered,
        compressor.network.module,
        searched.data.calibration,
        RepairOptions(shown=shown),
        policy=policy,
        blocks=block_outputs(compressor.network, compressor.kept(policy)),
    )
    found["as delivered, validation: fidelity"] = _fidelity(
        searched.scorer(validation).score(delivered)
    )
    found["repaired, images held out: fidelity"] = -mended.after
    found["repaired, validation: fidelity"] = _fidelity(
        searched.scorer(validation).score(mended.model)
    )
    test: Images | None = searched.data.test
    assert test is not None
    for name, network in zip(_GOALS, (delivered, mended.model), strict=True):
        found[name] = searched.scorer(test).score(network).accuracy
    return found


def _fidelity(score: Score) -> float:
    assert score.divergence is not None
    return -score.divergence


def _print(folder: Path) -> None:
    rows = kept(folder)
    print(f"\n{len(rows)} policies\n")
    print_header("measure", *_GOALS)
    for name in rows[0]:
        columns = []
        for goal in _GOALS:
            found = spearmanr([row[name] for row in rows], [row[goal] for row in rows])
            columns.append(f"{found.statistic:.2f}")
        print_row(name, *columns)


if __name__ == "__main__":
    main()
