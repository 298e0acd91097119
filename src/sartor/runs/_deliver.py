"""Artifacts of finished runs, from names and files: what the command line exports and verifies."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch

import sartor
from sartor.budget import Budget
from sartor.compression import holds_network, load_network, read_policy
from sartor.errors import DataError, RunError
from sartor.export import Verification, export, find_format, verify, verifying_target
from sartor.finetune import CHECKPOINT
from sartor.graph import trace
from sartor.machine import write_text
from sartor.runs._config import RunConfig, from_folder, require_threads
from sartor.runs._pick import command_of
from sartor.runs._run import FINETUNED, read_result, reload_subject, require_current
from sartor.runs._summary import counted


def latest(folder: Path) -> Path:
    """What there is to deliver of a run: what was fine-tuned, else what was found.

    Raises `RunError` if there is neither, and while a fine-tuning has begun and not ended.
    """
    tuned = folder / FINETUNED
    if not holds_network(folder):
        raise RunError(
            f"{folder} holds no finished run; resume it with: sartor search --resume {folder}"
        )
    if not holds_network(tuned):
        if (tuned / CHECKPOINT).exists():
            raise RunError(
                f"the fine-tuning in {tuned} has not ended; go on with: sartor finetune {folder} --resume, or remove it"
            )
        return folder
    require_current(folder)
    return tuned


def run_export(folder: Path, form: str, *, batch: int | None, out: Path | None = None) -> Path:
    """Write the artifact of a run, ``model`` with the format's suffix in ``folder/export`` unless ``out`` names a file."""
    find_format(form)
    config, place = from_folder(folder), latest(folder)
    model, images = reload_subject(config, place, calibration=1)
    inputs = (images.calibration.normalized(),)
    path = out or artifact_of(folder, form)
    export(
        load_network(place, model),
        inputs,
        path,
        form,
        metadata=_metadata(folder, config, place),
        batch=batch,
    )
    _verified(path).unlink(missing_ok=True)
    return path


def artifact_of(folder: Path, form: str) -> Path:
    """Where a run is exported to, unless another file is named."""
    return folder / "export" / f"model{find_format(form).suffix}"


@dataclass(frozen=True)
class VerifiedRun:
    """A verification, what is not as promised and what was promised but cannot be held against it, one sentence each; and the
    file beside the artifact that keeps all of it.
    """

    found: Verification
    faults: list[str]
    unchecked: list[str]
    report: Path


def run_verify(
    folder: Path, form: str, *, artifact: Path | None = None, threads: int | None = None
) -> VerifiedRun:
    """Run the artifact of a run, on the target of the search if that reads it, else on the usual one of its format.

    A bound on latency was promised for the target of the search, its threads, which are the default, and one image at a time; it
    is not held against another runtime or batch.

    Raises `RunError` if it was not exported, `DataError` if there are no test images.
    """
    config, place, artifact = (
        from_folder(folder),
        latest(folder),
        artifact or artifact_of(folder, form),
    )
    if not artifact.exists():
        raise RunError(
            f"{artifact} does not exist; make it with: sartor export {folder} --format {form}"
        )
    require_threads(threads)
    model, images = reload_subject(config, place, calibration=1)
    if images.test is None:
        raise DataError(f"data {config.data!r} has no test images to verify on")
    original = trace(model, images.calibration.normalized()).module
    options, budget = config.options, Budget.parse(config.budget)
    threads = threads or options.target_threads
    target = verifying_target(form, options.target)
    found = verify(
        artifact,
        form,
        load_network(place, model),
        original,
        images.test,
        threads=threads,
        target=target,
    )
    latency, unchecked = None, []
    if budget.bounds_latency and read_result(folder).budget_enforced:
        promised, here = (
            _on(options.target, options.target_threads, 1),
            _on(target, threads, found.batch),
        )
        if promised == here:
            latency = read_result(folder)["latency_ceiling"]
        else:
            unchecked.append(
                f"the latency of {config.budget} was promised {promised}; it is not held against this one {here}"
            )
    faults = found.faults(latency=latency, size=budget.ceiling("size", found.original_size_bytes))
    report = _verified(artifact)
    write_text(
        report,
        json.dumps(
            {**dataclasses.asdict(found), "faults": faults, "unchecked": unchecked}, indent=1
        )
        + "\n",
    )
    return VerifiedRun(found, faults, unchecked, report)


def _on(target: str, threads: int, batch: int) -> str:
    return f"on {target}, {counted(threads, 'thread')}, of {counted(batch, 'image')} at once"


def _verified(artifact: Path) -> Path:
    """Where the verification of an artifact is kept."""
    return artifact.with_name(f"{artifact.name}.verified.json")


def _metadata(folder: Path, config: RunConfig, place: Path) -> dict[str, str]:
    """Policy, budget, seed, versions and how to make it again."""
    return {
        "policy": read_policy(place).to_json(),
        "budget": config.budget,
        "seed": str(config.options.seed),
        "finetuned": json.dumps(place.name == FINETUNED),
        "versions": json.dumps({"sartor": sartor.__version__, "torch": str(torch.__version__)}),
        "command": command_of(folder, finetuned=place.name == FINETUNED),
    }
