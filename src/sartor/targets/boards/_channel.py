"""A program on a board that answers requests, and what is said when it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NoReturn, Self

from sartor.errors import MissingPackageError, RunError
from sartor.targets.boards.agent import GREETING, read, write

#: Seconds that the board has beyond the limit here, before it ends what hangs there by itself.
_GRACE = 10
#: Seconds that ssh has to say why it ended.
_LAST_WORDS = 2
#: Lines that login scripts may print before the board greets.
_MOST_LINES = 200
#: Characters of what ssh or the board say that are passed on.
_MOST = 300
#: What shells end with where a program does not exist.
_NO_PROGRAM = 127


class Channel:
    """An open connection; made by `open`.

    Args:
        host: What messages call the board.
        process: Carries requests on its standard input, and answers on its standard output.
        said: What it writes to its standard error.
        limit: Seconds after which an answer is given up.
    """

    def __init__(
        self, host: str, process: subprocess.Popen[bytes], said: IO[bytes], limit: float
    ) -> None:
        self._host = host
        self._process = process
        self._said = said
        self._limit = limit
        self._late = False
        # also where its user never closes it
        self.close = weakref.finalize(self, _end, process, said)

    @classmethod
    def open(cls, host: str, words: Sequence[str], program: bytes, limit: float) -> Self:
        """Start a command, send it the program that is to answer, and wait for its greeting.

        Raises `RunError` with what was said where it does not come.
        """
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the channel
        try:
            process = subprocess.Popen(  # noqa: S603 - words, not a shell line
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                # Ctrl-C is this program's to answer: a search ends with its last episode
                start_new_session=True,
            )
        except FileNotFoundError:
            said.close()
            raise MissingPackageError(
                f"the program {words[0]} does not exist on this machine; install OpenSSH's client"
            ) from None

        channel = cls(host, process, said, limit)
        channel._greet(program)
        return channel

    def ask(self, do: str, body: bytes = b"", **told: Any) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for its answer. Raises `RunError` where none comes.

        Then, and if it is interrupted, it is closed: the answer might come to the next request.
        """
        head = {"do": do, "limit": int(self._limit) + _GRACE, **told}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._limited():
                write(self._process.stdin, head, body)
                return read(self._process.stdout)
        except (EOFError, OSError, ValueError):
            self._raise_gone()
        except BaseException:  # Ctrl-C
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self.close.alive

    def _greet(self, program: bytes) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._limited():
            try:
                self._process.stdin.write(program)
                self._process.stdin.flush()
            except OSError:
                self._raise_unreachable()
            for _ in range(_MOST_LINES):
                line = self._process.stdout.readline()
                if line == GREETING:
                    return
                if not line:
                    break
            self._raise_unreachable()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Whoever waits finds the end of the stream, for the process is killed after the limit."""
        timer = threading.Timer(self._limit, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._late = True
        _kill(self._process)

    def _raise_unreachable(self) -> NoReturn:
        status, said = self._last_words()
        if self._late:
            raise RunError(f"board {self._host} does not answer within {self._limit:g} s{said}")
        if status == _NO_PROGRAM:
            raise RunError(
                f"board {self._host} has no such Python{said}; name one that is there: "
                f"ssh:{self._host},python=PATH"
            )
        raise RunError(f"board {self._host} cannot be used (ssh ended with {status}){said}")

    def _raise_gone(self) -> NoReturn:
        status, said = self._last_words()
        after = "what was recorded is kept: go on with --resume once it is back"
        if self._late:
            raise RunError(
                f"board {self._host} has not answered for {self._limit:g} s{said}; {after}"
            )
        raise RunError(
            f"board {self._host} does not answer any more (ssh ended with {status}){said}; {after}"
        )

    def _last_words(self) -> tuple[int, str]:
        """The status that the process ended with, and what it said last, after a colon."""
        try:
            status = self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            _kill(self._process)
            status = self._process.wait()
        self._said.seek(0)
        text = self._said.read().decode(errors="replace")
        line = " ".join(text.split())[-_MOST:]
        self.close()
        return status, f": {line}" if line else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and all that it has started in it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    """Let a board know that nobody asks any more; it ends by itself."""
    _kill(process)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        try:
            stream.close()
        except OSError:  # what was not sent any more
            continue
    process.wait()
    said.close()
