"""Any external benchmark program: for phones, boards and what else prints a network's latency."""

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
from sartor.targets._comparison import Comparison
from sartor.targets._onnx_file import write_onnx
from sartor.targets._options import NUMBER, TargetOptions
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience, compare

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
#: Characters of what a program prints that are passed on.
_MOST = 300


class CommandTarget(Target):
    """Runs a program on an ONNX file, and reads one number from what it prints.

    Args:
        command: The program and its arguments; ``{model}`` is replaced by the path of the file. It
            is split into words once and never seen by a shell.
        pattern: A regular expression whose first group is the number; the last match counts.
        unit: Of the number: s, ms, us or ns.
        timeout_s: Seconds after which the program is ended.
        threads: Of the program, for the record.
        batch: Images of the file that it is given.
        precisions: Pairs of weight and activation bits that it runs.
        device: Where it runs, for the record.

    Raises `UsageError` for a template without ``{model}``, a pattern without a group, or an unknown
    unit.

    >>> CommandTarget("benchmark --graph={model}", pattern=r"avg: ([0-9.]+)", unit="us").suffix
    '.onnx'
    >>> CommandTarget("benchmark")
    Traceback (most recent call last):
    sartor.errors.UsageError: command 'benchmark' has no {model}; the path of the network goes there
    """

    name = "command"
    suffix = ".onnx"
    summary = "any program that prints a latency"
    needs = "--command"
    takes = ("batch",)
    runs = False

    def __init__(
        self,
        command: str,
        *,
        pattern: str = NUMBER,
        unit: str = "ms",
        timeout_s: float = 300.0,
        threads: int = 1,
        batch: int = 1,
        precisions: Sequence[tuple[int, int]] = ((FULL_WIDTH, FULL_WIDTH), (8, 8)),
        device: str = "",
    ) -> None:
        super().__init__(threads, batch)
        self._words = _words(command)
        self._pattern = _compiled(pattern)
        self._unit = _seconds_of(unit)
        self._timeout_s = timeout_s
        self._precisions = tuple(precisions)
        self._device = device or "where the command runs it"

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """The program that options name."""
        return cls(
            options.command,
            pattern=options.command_pattern,
            unit=options.command_unit,
            threads=options.threads,
            batch=options.batch,
        )

    def describe(self) -> Description:
        """As much as can be known of a program."""
        return Description(
            target=self.name,
            device=self._device,
            runtime=self._words[0],
            threads=self.threads,
            supports=Support.for_all_layers(self._precisions),
            batch=self.batch,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with the batch of the inputs."""
        return write_onnx(network, inputs, path)

    def load(self, artifact: Path, *, threads: int | None = None) -> CommandSession:
        """Nothing is started yet; threads are the command's own affair."""
        words = [word.replace("{model}", str(artifact)) for word in self._words]
        return CommandSession(words, self._pattern, self._unit, self._timeout_s, self.batch)

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """The command in turns for both.

        It is expected to warm up, repeat and find its cores by itself.
        """
        # starting a program on a phone takes seconds
        chosen = patience or Patience(limit_s=60.0)
        return compare(
            candidate.seconds,
            original.seconds,
            replace(chosen, warm_up=0),
            runs=1,
            pin=False,
            gauge=gauge,
        )


class CommandSession:
    """A command for one artifact."""

    def __init__(
        self,
        words: list[str],
        pattern: re.Pattern[str],
        unit: float,
        timeout_s: float,
        batch: int = 1,
    ) -> None:
        self.batch: int | None = batch
        self._words = words
        self._pattern = pattern
        self._unit = unit
        self._timeout_s = timeout_s
        self._line = shlex.join(words)

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Benchmark programs give no outputs."""
        raise UsageError("the target command measures latency only; it gives no outputs")

    def seconds(self) -> float:
        """What the command printed.

        Raises `RunError` if it fails, takes too long or prints no number.
        """
        printed = self._printed()
        found = self._pattern.findall(printed)
        if not found:
            raise RunError(
                f"command {self._line} printed no number that {self._pattern.pattern!r} finds: "
                f"{printed.strip()[-_MOST:]!r}"
            )

        number = found[-1]
        if isinstance(number, tuple):
            # of several groups findall gives all
            number = number[0]

        try:
            seconds = float(number) * self._unit
        except ValueError:
            raise RunError(f"command {self._line}: {number!r} is not a number") from None

        if not 0 < seconds < math.inf:
            raise RunError(
                f"command {self._line}: {number!r}, which {self._pattern.pattern!r} finds last, "
                "is no latency; give --command-pattern"
            )
        return seconds

    def _printed(self) -> str:
        """All that the command prints."""
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
            raise RunError(f"command {self._line} failed: {error}") from error

        if done.returncode:
            said = done.stderr.strip()[-_MOST:]
            raise RunError(f"command {self._line} ended with status {done.returncode}: {said}")
        return done.stdout


def _seconds_of(unit: str) -> float:
    if unit not in _UNITS:
        raise UsageError(f"unit {unit!r} is not known; allowed are {', '.join(_UNITS)}")
    return _UNITS[unit]


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"command {command!r} cannot be read: {error}") from error
    if not any("{model}" in word for word in words):
        raise UsageError(
            f"command {command!r} has no {{model}}; the path of the network goes there"
        )
    return words


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"pattern {pattern!r} cannot be read: {error}") from error
    if compiled.groups < 1:
        raise UsageError(f"pattern {pattern!r} has no group; write ( ) around the number")
    return compiled
