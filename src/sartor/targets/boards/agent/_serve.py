"""The loop of a board: a request, its answer, until there are no more requests."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from sartor.targets.boards.agent._cores import keep_to
from sartor.targets.boards.agent._facts import facts
from sartor.targets.boards.agent._kept import Kept
from sartor.targets.boards.agent._message import GREETING, read, write
from sartor.targets.boards.agent._networks import Networks
from sartor.targets.boards.agent._runtimes import RUNTIMES, installed

_Answer = tuple[dict[str, Any], bytes]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Agent:
    """Does what it is asked; each method that has no underscore is one thing that can be asked."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._networks: Networks | None = None

    def facts(self, head: dict[str, Any], body: bytes) -> _Answer:
        """What is known of the board now."""
        cores = sorted(os.sched_getaffinity(0))
        return {"facts": facts(self._kept.folder, cores)}, b""

    def runtimes(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Versions of all."""
        return {"runtimes": installed()}, b""

    def start(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Keep to some cores, and import a runtime."""
        if head["cores"]:
            keep_to(head["cores"])
        runtime = RUNTIMES[head["runtime"]]
        self._networks = Networks(runtime, self._kept)
        return {"version": runtime.version()}, b""

    def has(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Whether a file is kept."""
        return {"has": self._kept.has(head["file"])}, b""

    def keep(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Keep a file."""
        self._kept.add(head["file"], body)
        return {}, b""

    def load(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Make a kept network ready to run."""
        return {"batch": self._loaded.batch(head["network"])}, b""

    def run(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Outputs of a network for kept inputs."""
        outputs, numbers = self._loaded.run(head["network"], head["inputs"])
        return {"outputs": outputs}, numbers

    def turns(self, head: dict[str, Any], body: bytes) -> _Answer:
        """Seconds of two networks that run in turns."""
        taken = self._loaded.turns(head["networks"], head["uncounted"], head["runs"], head["turns"])
        return {"turns": taken}, b""

    @property
    def _loaded(self) -> Networks:
        assert self._networks is not None, "start comes first"
        return self._networks


def main() -> None:
    """Serve whoever started this, on standard input and output."""
    # whatever runtimes print goes to the other stream
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(GREETING)
    answers.flush()
    serve(sys.stdin.buffer, answers, Agent(Kept.usual()))


def serve(requests: IO[bytes], answers: IO[bytes], agent: Agent) -> None:
    """Answer all requests of a stream.

    One that takes more seconds than it says ends the process, even if a runtime hangs in it.
    """
    while True:
        try:
            head, body = read(requests)
        except EOFError:
            return

        signal.alarm(head["limit"])
        answer, content = _answer(getattr(agent, head["do"]), head, body)
        signal.alarm(0)
        write(answers, answer, content)


def _answer(
    method: Callable[[dict[str, Any], bytes], _Answer], head: dict[str, Any], body: bytes
) -> _Answer:
    try:
        return method(head, body)
    except Exception as error:  # runtimes raise whatever they like
        said = " ".join(str(error).split()) or type(error).__name__
        is_full = isinstance(error, OSError) and error.errno in _FULL
        is_missing = isinstance(error, ImportError)
        kind = "full" if is_full else "missing" if is_missing else "other"
        return {"error": said, "kind": kind}, b""
