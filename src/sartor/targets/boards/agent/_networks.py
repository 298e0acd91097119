"""Networks that a board has loaded: what they answer, and turns in which two of them run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from sartor.targets.boards.agent._cores import undisturbed
from sartor.targets.boards.agent._kept import Kept
from sartor.targets.boards.agent._runtime import Loaded, Runtime

#: Networks that are held at a time: the original, a candidate, and either on other threads.
_MOST = 4


class Networks:
    """Those of the kept files, loaded by one runtime."""

    def __init__(self, runtime: Runtime, kept: Kept) -> None:
        self._runtime = runtime
        self._kept = kept
        self._loaded: OrderedDict[tuple[Any, ...], Loaded] = OrderedDict()

    def batch(self, told: Mapping[str, Any]) -> int | None:
        """Images that a network takes at a time; None for any number."""
        return self._find(told).batch

    def run(
        self, told: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], bytes]:
        """What each output is, and the numbers of all; inputs are kept files of numbers."""
        import numpy as np

        network = self._find(told)
        arrays = []
        for item in inputs:
            numbers = np.fromfile(self._kept.path(item["file"]), dtype=item["type"])
            arrays.append(numbers.reshape(item["shape"]))

        outputs = [np.ascontiguousarray(output) for output in network.run(arrays)]
        described = [{"type": item.dtype.str, "shape": item.shape} for item in outputs]
        return described, b"".join(item.tobytes() for item in outputs)

    def turns(
        self,
        networks: Sequence[Mapping[str, Any]],
        uncounted: Sequence[int],
        runs: int,
        count: int,
    ) -> list[list[list[float]]]:
        """Seconds of each counted run, by turn, of each network.

        They take turns, ``count`` of each; in each so many runs come first that do not count.
        """
        loaded = [self._find(told) for told in networks]
        taken: list[list[list[float]]] = [[] for _ in loaded]
        with self._kept.alone(), undisturbed():
            for _ in range(count):
                for network, first, turns in zip(loaded, uncounted, taken, strict=True):
                    times = [network.seconds() for _ in range(first + runs)]
                    turns.append(times[first:])
        return taken

    def _find(self, told: Mapping[str, Any]) -> Loaded:
        """The network of a file, on so many threads, timed with so many images."""
        key = (told["file"], told["threads"], told["timed"])
        # that it is used keeps the file, too
        path = self._kept.path(told["file"])
        if key not in self._loaded:
            self._loaded[key] = self._runtime.load(path, told["threads"], told["timed"])
        self._loaded.move_to_end(key)
        while len(self._loaded) > _MOST:
            self._loaded.popitem(last=False)
        return self._loaded[key]
