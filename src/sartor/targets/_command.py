"""Any external benchmark program: for phones, boards and whatever else prints how long a network took."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from torch import Tensor, fx

from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.machine import Float32Array
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Session, Support, Target
from sartor.targets._onnx import write_onnx
from sartor.targets._options import NUMBER, TargetOptions
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Comparison, Patience, compare

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class CommandTarget(Target):
    """Runs ``command`` with ``{model}`` replaced by the path of an ONNX file, and reads one number from what it prints.

    The command is split into words once and never seen by a shell. ``pattern`` is a regular expression whose first group is
    the number; the last match counts. ``unit`` is s, ms, us or ns. Raises `UsageError` for a template without ``{model}``, a
    pattern without a group, or an unknown unit.
    """

    name = "command"
    suffix = ".onnx"
    summary = "any program that prints a latency"
    needs = "--command"
    runs = False

    def __init__(
        self,
        command: str,
        *,
        pattern: str = NUMBER,
        unit: str = "ms",
        timeout_s: float = 300.0,
        threads: int = 1,
        precisions: Sequence[tuple[int, int]] = ((FULL_WIDTH, FULL_WIDTH), (8, 8)),
        device: str = "",
    ) -> None:
        try:
            self._words = shlex.split(command)
            self._pattern = re.compile(pattern)
        except (ValueError, re.error) as error:
            raise UsageError(
                f"command {command!r} or pattern {pattern!r} cannot be read: {error}"
            ) from error
        if not any("{model}" in word for word in self._words):
            raise UsageError(
                f"command {command!r} has no {{model}}; the path of the network goes there"
            )
        if self._pattern.groups < 1:
            raise UsageError(f"pattern {pattern!r} has no group; write ( ) around the number")
        if unit not in _UNITS:
            raise UsageError(f"unit {unit!r} is not known; allowed are {', '.join(_UNITS)}")
        super().__init__(threads)
        self._unit = _UNITS[unit]
        self._timeout_s = timeout_s
        self._precisions, self._device = tuple(precisions), device

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """The program that options name."""
        return cls(
            options.command,
            pattern=options.command_pattern,
            unit=options.command_unit,
            threads=options.threads,
        )

    def describe(self) -> Description:
        """As much as can be known of a program."""
        support = Support(self._precisions)
        device = self._device or "where the command runs it"
        return Description(
            self.name,
            device,
            self._words[0],
            self.threads,
            dict.fromkeys(("conv", "depthwise", "linear"), support),
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with a batch of one."""
        return write_onnx(network, inputs, path)

    def load(self, artifact: Path, *, threads: int | None = None) -> CommandSession:
        """Nothing is started yet; threads are the command's own affair."""
        words = [word.replace("{model}", str(artifact)) for word in self._words]
        return CommandSession(words, self._pattern, self._unit, self._timeout_s)

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """The command in turns for both; it is expected to warm up, repeat and find its cores by itself."""
        patience = replace(patience or Patience(limit_s=60.0), warm_up=0)
        return compare(
            candidate.seconds, original.seconds, patience, runs=1, pin=False, gauge=gauge
        )


class CommandSession:
    """A command for one artifact."""

    batch: int | None = 1

    def __init__(
        self, words: list[str], pattern: re.Pattern[str], unit: float, timeout_s: float
    ) -> None:
        self._words, self._pattern, self._unit, self._timeout_s = words, pattern, unit, timeout_s

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Benchmark programs give no outputs."""
        raise UsageError("the target command measures latency only; it gives no outputs")

    def seconds(self) -> float:
        """What the command printed. Raises `RunError` if it fails, takes too long or prints no number."""
        line = shlex.join(self._words)
        try:
            done = subprocess.run(  # noqa: S603 - words, not a shell line
                self._words,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._timeout_s,
                check=False,
            )
        except FileNotFoundError:
            raise MissingPackageError(
                f"command {self._words[0]!r} does not exist on this machine"
            ) from None
        except (subprocess.TimeoutExpired, OSError) as error:
            raise RunError(f"command {line} failed: {error}") from error
        if done.returncode:
            raise RunError(
                f"command {line} ended with status {done.returncode}: {done.stderr.strip()[-300:]}"
            )
        found = self._pattern.findall(done.stdout)
        if not found:
            raise RunError(
                f"command {line} printed no number that {self._pattern.pattern!r} finds: {done.stdout.strip()[-300:]!r}"
            )
        number = found[-1][0] if isinstance(found[-1], tuple) else found[-1]
        try:
            seconds = float(number) * self._unit
        except ValueError:
            raise RunError(f"command {line}: {number!r} is not a number") from None
        if not 0 < seconds < math.inf:
            raise RunError(
                f"command {line}: {number!r}, which {self._pattern.pattern!r} finds last, is no latency; give --command-pattern"
            )
        return seconds
