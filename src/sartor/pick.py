"""Any episode of a search as a network of its own, as the best one is."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from sartor.budget import Budget
from sartor.config import FILE, from_folder
from sartor.errors import RunError, UsageError
from sartor.run import calibration_count, load_subject, use_threads
from sartor.search import read_episodes
from sartor.storage import save
from sartor.task import make_compressor, make_problem, make_target

_PREFIX = "episode-"


def pick(folder: Path, number: int) -> Path:
    """Write the network of an episode to ``folder/episode-N``, which can be fine-tuned, exported and verified like a run.

    It is refitted from as many images as a finalist. Raises `UsageError` for an episode that the run does not have, `RunError`
    if there is no run.
    """
    config, episodes = from_folder(folder), {episode.number: episode for episode in read_episodes(folder)}
    if not episodes:
        raise RunError(f"{folder} holds no episodes yet")
    if number not in episodes:
        raise UsageError(f"episode {number} is not in {folder}; it has 0 to {max(episodes)}")
    use_threads(config)
    options, out = config.options, folder / f"{_PREFIX}{number}"
    count = calibration_count(options)
    model, images, origin = load_subject(config.model, config.weights, config.data, calibration=count, seed=options.seed)
    calibration, target = images.calibration.normalized(), make_target(options)
    compressor = make_compressor(model, calibration, calibration, options, target)
    problem = make_problem(compressor, Budget(()), options, target)
    policy = problem.policy(problem.counts(episodes[number].executed))
    candidate, kept = compressor.candidate(policy, final=True), compressor.kept(policy)
    save(out, compressor.network, candidate, policy, kept=kept, origin=origin, scheme=compressor.scheme)
    dataclasses.replace(config, out=out, budget="").save(out)  # nothing was promised of this one
    return out


def command_of(folder: Path) -> str:
    """The commands that make the network of a run, or of an episode that was picked from one, again."""
    run, number = folder.parent, folder.name.removeprefix(_PREFIX)
    if folder.name == number or not (run / FILE).exists():
        return from_folder(folder).command()
    return f"{from_folder(run).command()} && {shlex.join(['sartor', 'pick', str(run), '--episode', number])}"
