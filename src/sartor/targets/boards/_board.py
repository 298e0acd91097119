"""A board that is connected: what it can be asked, and the sentences for what it cannot do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.machine import Float32Array, structure
from sartor.targets.boards._channel import Channel
from sartor.targets.boards._facts import Facts
from sartor.targets.boards._place import Place
from sartor.targets.boards._program import program, words
from sartor.targets.boards.agent import RUNTIMES

_MOST = 300
_VERSION = re.compile(r"(\d+)\.(\d+)")


class Board:
    """A board, connected when it is asked for anything and is not yet, or not any more.

    What it has loaded it finds again by the files that it keeps.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._channel: Channel | None = None
        self._runtime = ""

    def facts(self) -> Facts:
        """What it says of itself now."""
        answer, _ = self._ask("facts", "cannot tell what it is")
        return structure(Facts, answer["facts"], f"board {self.place.host}", RunError)

    def runtimes(self) -> dict[str, str]:
        """Versions of the runtimes there by name; empty for those that are missing."""
        answer, _ = self._ask("runtimes", "cannot tell what it has")
        found: dict[str, str] = answer["runtimes"]
        return found

    @property
    def runtime(self) -> str:
        """The runtime with its version.

        Raises `MissingPackageError` if it is missing or too old, `UsageError` for cores that the
        board lacks.
        """
        if not self._runtime:
            self._runtime = self._start(self._connected())
        return self._runtime

    def keep(self, content: bytes) -> str:
        """Have a file there, sent if it is not yet; returns its SHA-256, by which it is known.

        Raises `RunError` if there is no room for it.
        """
        digest = hashlib.sha256(content).hexdigest()
        answer, _ = self._ask("has", "cannot find files", file=digest)
        if not answer["has"]:
            size = f"{len(content) / 1e6:,.1f} MB"
            self._ask("keep", f"cannot keep a file of {size}", content, file=digest)
        return digest

    def load(self, artifact: Path, threads: int, timed: int) -> tuple[dict[str, Any], int | None]:
        """Have a network ready: what it is called there, and images that it takes at a time.

        Raises `RunError` for a file that the runtime cannot load.
        """
        name = self.runtime
        file = self.keep(artifact.read_bytes())
        network = {"file": file, "threads": threads, "timed": timed}
        answer, _ = self._ask("load", f"cannot load {artifact} with {name}", network=network)
        return network, answer["batch"]

    def run(
        self, network: Mapping[str, Any], artifact: Path, inputs: Sequence[Float32Array]
    ) -> list[Float32Array]:
        """Outputs of a network. Raises `RunError` with what the runtime said."""
        sent = []
        for item in inputs:
            numbers = np.ascontiguousarray(item)
            file = self.keep(numbers.tobytes())
            sent.append({"file": file, "type": numbers.dtype.str, "shape": numbers.shape})

        failing = f"cannot run {artifact} with {self.runtime}"
        answer, content = self._ask("run", failing, network=network, inputs=sent)
        found: list[Float32Array] = []
        for output in answer["outputs"]:
            kind = np.dtype(output["type"])
            count = int(np.prod(output["shape"], dtype=np.int64))
            start = sum(item.nbytes for item in found)
            numbers = np.frombuffer(content, kind, count, offset=start)
            # of a buffer that may not be written to
            found.append(numbers.reshape(output["shape"]).copy())
        return found

    def turns(
        self, networks: Sequence[Mapping[str, Any]], uncounted: Sequence[int], runs: int, turns: int
    ) -> list[list[list[float]]]:
        """Seconds of each counted run, by turn, of each network: so many turns of so many runs.

        ``uncounted`` runs come before those in each turn, a number for each network.
        """
        answer, _ = self._ask(
            "turns",
            "cannot measure",
            networks=networks,
            uncounted=uncounted,
            runs=runs,
            turns=turns,
        )
        found: list[list[list[float]]] = answer["turns"]
        return found

    def _connected(self) -> Channel:
        if self._channel is None or not self._channel.is_open:
            place = self.place
            self._channel = Channel.open(place.host, words(place), program(), place.limit)
            if self._runtime:
                self._start(self._channel)
        return self._channel

    def _start(self, channel: Channel) -> str:
        """Have the runtime imported there; returns its name with the version."""
        place = self.place
        chosen = RUNTIMES[place.runtime]
        answer, _ = channel.ask("start", runtime=place.runtime, cores=place.cores)
        said = answer.get("error")
        if said and answer["kind"] == "missing":
            raise MissingPackageError(
                f"{place.runtime} cannot be imported on board {place.host} ({said[:_MOST]}); run: "
                f"{place.pip} {chosen.package}"
            )
        if said:
            raise UsageError(f"board {place.host}: {said}")

        version = answer["version"]
        if _numbers(version) < chosen.least:
            least = ".".join(map(str, chosen.least))
            raise MissingPackageError(
                f"board {place.host} has {place.runtime} {version}; at least {least} is needed; "
                f"run: {place.pip} --upgrade {chosen.package}"
            )
        return f"{place.runtime} {version}"

    def _ask(
        self, do: str, failing: str, body: bytes = b"", **told: Any
    ) -> tuple[dict[str, Any], bytes]:
        """An answer. Raises `RunError`, a sentence with what is ``failing`` and what was said."""
        answer, content = self._connected().ask(do, body, **told)
        said = answer.get("error")
        if said:
            more = "; free some room there" if answer["kind"] == "full" else ""
            raise RunError(f"board {self.place.host} {failing}: {said[:_MOST]}{more}")
        return answer, content


def _numbers(version: str) -> tuple[int, int]:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
