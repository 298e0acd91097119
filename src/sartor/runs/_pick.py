"""Any episode of a search, or what was fine-tuned, as a network of its own, as the best episode is."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from sartor.budget import Budget
from sartor.compression import copy_network, holds_network, save_network
from sartor.errors import RunError, UsageError
from sartor.machine import write_text
from sartor.pipeline import make_compressor, make_problem, make_target
from sartor.runs._config import RUN_FILE, from_folder
from sartor.runs._run import (
    FINETUNED,
    RESULT,
    calibration_count,
    load_subject,
    read_finetuned,
    require_current,
    use_threads,
)
from sartor.search import read_episodes

_PREFIX = "episode-"
_FURTHER = "further"


def pick(folder: Path, number: int) -> Path:
    """Write the network of an episode to ``folder/episode-N``, which can be fine-tuned, exported and verified like a run.

    It is refitted from as many images as a finalist. Raises `UsageError` for an episode that the run does not have, `RunError`
    if there is no run.
    """
    config, episodes = (
        from_folder(folder),
        {episode.number: episode for episode in read_episodes(folder)},
    )
    if not episodes:
        raise RunError(f"{folder} holds no episodes yet")
    if number not in episodes:
        raise UsageError(f"episode {number} is not in {folder}; it has 0 to {max(episodes)}")
    use_threads(config)
    options, out = config.options, folder / f"{_PREFIX}{number}"
    count = calibration_count(options)
    model, images, origin = load_subject(
        config.model, config.weights, config.data, calibration=count, seed=options.seed
    )
    calibration, target = images.calibration.normalized(), make_target(options)
    compressor = make_compressor(model, calibration, calibration, options, target)
    problem = make_problem(compressor, Budget(()), options, target)
    policy = problem.policy(problem.counts(episodes[number].executed))
    candidate, kept = compressor.candidate(policy, final=True), compressor.kept(policy)
    save_network(
        out,
        compressor.network,
        candidate,
        policy,
        kept=kept,
        origin=origin,
        scheme=compressor.scheme,
    )
    dataclasses.replace(config, out=out, budget="").save(out)  # nothing was promised of this one
    return out


def pick_finetuned(folder: Path) -> Path:
    """Write what was fine-tuned to ``folder/further``, which can be fine-tuned once more, in another way, like a run.

    Raises `RunError` if nothing was, or if that is there already.
    """
    tuned, out = folder / FINETUNED, folder / _FURTHER
    if not holds_network(tuned):
        raise RunError(
            f"{folder} holds nothing that was fine-tuned; go on with: sartor finetune {folder}"
        )
    if holds_network(out):
        raise RunError(f"{out} is there already; fine-tune it, or remove it")
    require_current(folder)
    config = from_folder(folder)
    dataclasses.replace(config, out=out).save(out)
    if config.budget:  # what was promised still is
        write_text(out / RESULT, (folder / RESULT).read_text(encoding="utf-8"))
    copy_network(out, tuned)
    return out


def command_of(folder: Path, *, finetuned: bool = False) -> str:
    """The commands that make the network of a run, or what was picked from one, again."""
    if finetuned:
        return f"{command_of(folder)} && {read_finetuned(folder)['command']}"
    run, number = folder.parent, folder.name.removeprefix(_PREFIX)
    if folder.name not in (_FURTHER, _PREFIX + number) or not (run / RUN_FILE).exists():
        return from_folder(folder).command()
    further = folder.name == _FURTHER
    chosen = ["--finetuned"] if further else ["--episode", number]
    return f"{command_of(run, finetuned=further)} && {shlex.join(['sartor', 'pick', str(run), *chosen])}"
