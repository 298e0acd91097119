"""Which board is meant, what runs there and how: ``HOST,runtime=NAME,python=PATH,cores=0-3``."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Self

from sartor.errors import UsageError
from sartor.registry import did_you_mean
from sartor.targets.boards.agent import RUNTIMES

#: Whatever ssh takes for a host, but nothing that it would take for an option.
_HOST = re.compile(r"[A-Za-z0-9_\[][^\s,]*")
_CORES = re.compile(r"[0-9]+(-[0-9]+)?(\+[0-9]+(-[0-9]+)?)*")
_KEYS = ("runtime", "python", "cores", "limit")
_EXAMPLE = "ssh:pi,runtime=onnxruntime"


@dataclass(frozen=True)
class Place:
    """A board.

    Attributes:
        host: As ssh knows it: a name of its configuration, or user@address.
        runtime: What runs networks there.
        python: The program there; a path that is not absolute begins in the home folder.
        cores: Which cores it uses there; all if there are none here.
        limit: Seconds after which an answer is given up.

    >>> Place.parse("pi@10.0.0.7,runtime=openvino,cores=2-3")
    Place(host='pi@10.0.0.7', runtime='openvino', python='python3', cores=(2, 3), limit=300)
    >>> Place.parse("pi,runtme=openvino")
    Traceback (most recent call last):
    sartor.errors.UsageError: target 'ssh:pi,runtme=openvino': 'runtme' is not known; did you mean
    'runtime'? allowed are runtime, python, cores, limit, as in ssh:pi,runtime=onnxruntime
    """

    host: str
    runtime: str = "onnxruntime"
    python: str = "python3"
    cores: tuple[int, ...] = ()
    limit: int = 300

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what stands behind ``ssh:``. Raises `UsageError` that says what is allowed."""
        host, *words = text.split(",")
        whole = f"target 'ssh:{text}'"
        if not _HOST.fullmatch(host):
            raise UsageError(f"{whole}: {host!r} is no host; write one as ssh does, {_EXAMPLE}")

        given: dict[str, str] = {}
        for word in words:
            key, _, value = word.partition("=")
            if key not in _KEYS:
                meant = did_you_mean(key, _KEYS)
                allowed = ", ".join(_KEYS)
                raise UsageError(
                    f"{whole}: {key!r} is not known; {meant}allowed are {allowed}, as in {_EXAMPLE}"
                )
            if not value:
                raise UsageError(f"{whole}: {key} has no value; write {key}=…, as in {_EXAMPLE}")
            if key in given:
                raise UsageError(f"{whole}: {key} is given twice; once is enough")
            given[key] = value

        return cls(
            host,
            runtime=_runtime(given.get("runtime", cls.runtime), whole),
            python=given.get("python", cls.python).removeprefix("~/"),
            cores=_cores(given.get("cores", ""), whole),
            limit=_limit(given.get("limit", str(cls.limit)), whole),
        )

    @property
    def pip(self) -> str:
        """The command line that installs packages there, without their names."""
        return f"ssh {self.host} {shlex.quote(self.python)} -m pip install"

    @property
    def cores_in_words(self) -> str:
        """Such as cores 2, 3; empty where all are used."""
        if not self.cores:
            return ""
        what = "core" if len(self.cores) == 1 else "cores"
        return f"{what} {', '.join(map(str, self.cores))}"


def _runtime(name: str, whole: str) -> str:
    if name not in RUNTIMES:
        meant = did_you_mean(name, RUNTIMES)
        allowed = ", ".join(RUNTIMES)
        raise UsageError(f"{whole}: runtime {name!r} is not known; {meant}allowed are {allowed}")
    return name


def _cores(text: str, whole: str) -> tuple[int, ...]:
    """Numbers of ``0``, ``0-3`` or ``0+2-3``."""
    if not text:
        return ()
    if not _CORES.fullmatch(text):
        raise UsageError(f"{whole}: cores {text!r} cannot be read; write 0, 0-3 or 0+2")

    found: set[int] = set()
    for part in text.split("+"):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    if not found:
        raise UsageError(f"{whole}: cores {text!r} are none; write 0, 0-3 or 0+2")
    return tuple(sorted(found))


def _limit(text: str, whole: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{whole}: limit {text!r} must be whole seconds, at least 1")
    return int(text)
