"""Whether a board is in a condition to be measured: waited for, warned of, or refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from sartor.errors import RunError
from sartor.targets.boards._facts import Facts

_LOGGER = logging.getLogger(__name__)
#: Seconds that a board has to cool down, and between two looks at it.
_COOLING = 120.0
_LOOK = 5.0
#: Degrees from which processors begin to slow down.
_HOT = 80.0
#: Processes beside the measurement, on average, that it is not much disturbed by.
_BUSY = 0.7
#: Bytes of disk below which a search may not find room.
_LITTLE = 200e6


class Condition:
    """Looks at a board before and after each measurement.

    Args:
        host: What messages call it.
        look: Gives the facts of the moment.
        cooling_s: How long a board that is slowed is waited for.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        host: str,
        look: Callable[[], Facts],
        *,
        cooling_s: float = _COOLING,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._look = look
        self._cooling_s = cooling_s
        self._sleep = sleep
        self._warned = False

    def wait(self) -> None:
        """Until nothing slows the board. Raises `RunError` if that takes too long."""
        found = self._look()
        if not self._warned:
            self._warned = True
            for sentence in warnings(found):
                _LOGGER.warning("board %s: %s", self._host, sentence)

        waited = 0.0
        while found.slowed_by:
            if waited >= self._cooling_s:
                raise self.refusal(found)
            _LOGGER.warning("board %s: %s; waiting", self._host, found.slowed_by)
            self._sleep(_LOOK)
            waited += _LOOK
            found = self._look()

    def held(self) -> bool:
        """Whether nothing slowed it down meanwhile."""
        found = self._look()
        if found.slowed_by:
            _LOGGER.warning("board %s: %s; measuring again", self._host, found.slowed_by)
        return not found.slowed_by

    def refusal(self, found: Facts | None = None) -> RunError:
        """Of measuring a board that is slowed down."""
        now = found or self._look()
        heat = f" at {now.celsius:.0f} °C" if now.celsius else ""
        why = now.slowed_by or "it is slowed down whenever it is measured"
        return RunError(
            f"board {self._host} cannot be measured: {why}{heat}; let it cool or give it another "
            "supply, then go on with --resume"
        )


def warnings(facts: Facts) -> Iterator[str]:
    """What may make latencies less sure, a sentence each."""
    if facts.emulated:
        yield "it is emulated; latencies there say nothing of a real board"
    if facts.governor not in ("", "performance"):
        yield (
            f"its clock follows the governor {facts.governor}; surer with: "
            "sudo cpupower frequency-set --governor performance"
        )
    if facts.load > _BUSY:
        yield f"its load is {facts.load:.1f}; something else runs there"
    if facts.celsius >= _HOT:
        yield f"it is {facts.celsius:.0f} °C hot, and may be slowed down soon"
    if facts.free_bytes < _LITTLE:
        yield f"only {facts.free_bytes / 1e6:.0f} MB of its disk are free"
