"""Whether an exported file keeps what a run promised, and the record of it beside the file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path

from sartor.budget import Budget
from sartor.errors import RunError
from sartor.export import Verification
from sartor.machine import read_json, structure, write_text
from sartor.pipeline import Report
from sartor.runs._config import RunConfig
from sartor.runs._layout import verification_of
from sartor.runs._units import counted
from sartor.targets import DEVICE, PRECISION, TargetOptions


@dataclass(frozen=True)
class VerifiedRun:
    """A verification of an exported file of a run.

    Attributes:
        found: What was measured.
        faults: What is not as promised, one sentence each.
        unchecked: What was promised but cannot be held against this runtime, one sentence each.
        report: The file that keeps all of it.
    """

    found: Verification
    faults: tuple[str, ...]
    unchecked: tuple[str, ...]
    report: Path

    def save(self) -> None:
        """Write the file."""
        content = {
            **dataclasses.asdict(self.found),
            "faults": self.faults,
            "unchecked": self.unchecked,
        }
        write_text(self.report, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> VerifiedRun:
        """What `save` wrote. Raises `RunError` for anything else."""
        content = read_json(path, missing=f"{path} does not exist", error=RunError)
        faults = content.pop("faults", ())
        unchecked = content.pop("unchecked", ())
        found = structure(Verification, content, str(path), RunError)
        return cls(found, tuple(faults), tuple(unchecked), report=path)


def hold_against(
    found: Verification,
    artifact: Path,
    config: RunConfig,
    result: Report | None,
    *,
    target: str,
    options: TargetOptions,
) -> VerifiedRun:
    """What was measured on a target of some options, held against the budget of a run.

    A bound on latency was promised for the target of the search, its threads, its device and the
    images that it ran at once; it is not held against others.
    """
    budget = Budget.parse(config.budget)
    latency: float | None = None
    unchecked: tuple[str, ...] = ()
    if budget.bounds_latency and result is not None and result.budget_enforced:
        promised = _where(config.options.target, config.options.target_options)
        measured = replace(options, threads=found.threads, batch=found.batch)
        here = _where(target, measured)
        # Another runtime is another machine: that it is slower breaks no promise.
        if promised == here:
            latency = result.latency_ceiling
        else:
            unchecked = (
                f"the latency of {config.budget} was promised {promised}; it is not held against "
                f"this one {here}",
            )

    size = budget.ceiling("size", found.original_size_bytes)
    faults = found.faults(latency=latency, size=size)
    return VerifiedRun(found, tuple(faults), unchecked, verification_of(artifact))


def _where(target: str, options: TargetOptions) -> str:
    place = target
    if (options.device, options.precision) != (DEVICE, PRECISION):
        place = f"{target} in {options.precision} on {options.device}"
    threads = counted(options.threads, "thread")
    return f"on {place}, {threads}, of {counted(options.batch, 'image')} at once"
