"""A board as a target."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from sartor.errors import UsageError
from sartor.targets._base import Description, Session, Support
from sartor.targets._comparison import Comparison
from sartor.targets._onnx_target import PRECISIONS, OnnxTarget
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience
from sartor.targets.boards._board import Board
from sartor.targets.boards._condition import Condition
from sartor.targets.boards._facts import Facts
from sartor.targets.boards._place import Place
from sartor.targets.boards._session import BoardSession
from sartor.targets.boards._turns import compare_there

#: How often a comparison is begun on a board that is slowed down meanwhile.
_TRIES = 3


class SshTarget(OnnxTarget):
    """A board that ssh reaches, with Python, NumPy and a runtime on it; nothing is installed there.

    What is to be done is sent with the connection; networks and images are sent once and kept in
    ``~/.cache/sartor`` there. Candidate and original take turns on the board; of what their runs
    take, the statistics are computed here. Keys, jump hosts and ports are those of the user's own
    ssh configuration, and nothing is ever asked for.

    Args:
        threads: Of the runtime.
        batch: Images that are timed at once.
        place: ``HOST,runtime=NAME,python=PATH,cores=0-3,limit=SECONDS``; all but the host may be
            left out.

    Raises `UsageError` for a place that cannot be read. The board is connected when it is first
    needed; then `RunError` is raised if it cannot be reached or ends, `MissingPackageError` for a
    runtime that is missing there or too old.

    >>> SshTarget(place="pi,runtime=openvino").place.runtime
    'openvino'
    """

    name = "ssh"
    summary = "a board that ssh reaches, with ONNX Runtime or OpenVINO on it"
    needs = "--target ssh:HOST"
    takes = ("batch", "place")
    formats = ("onnx",)
    is_here = False

    def __init__(self, threads: int = 1, batch: int = 1, place: str = "") -> None:
        self.place = Place.parse(place)
        super().__init__(threads, batch, self.place.runtime)
        self.board = Board(self.place)
        self._condition = Condition(self.place.host, self.board.facts)

    def describe(self) -> Description:
        """The board, not its address: latencies are kept for all boards of its kind."""
        device = self._first_facts.device
        cores = self.place.cores_in_words
        return Description(
            target=self.name,
            device=f"{device}, {cores}" if cores else device,
            runtime=self.board.runtime,
            threads=self.threads,
            supports=Support.for_all_layers(PRECISIONS),
            batch=self.batch,
            emulated=self._first_facts.emulated,
        )

    def load(self, artifact: Path, *, threads: int | None = None) -> BoardSession:
        """Send a file, unless the board has it, and load it there.

        Threads that are asked for are at most as many as it has cores.
        """
        used = self.threads
        if threads is not None:
            used = min(threads, len(self._first_facts.cores))
        network, batch = self.board.load(artifact, used, self.batch)
        return BoardSession(self.board, artifact, network, batch)

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """In turns on the board, again if it was slowed down meanwhile.

        Raises `RunError` for a board that stays slowed down.
        """
        if not isinstance(candidate, BoardSession) or not isinstance(original, BoardSession):
            raise UsageError("the target ssh compares sessions that it has loaded")

        for _ in range(_TRIES):
            self._condition.wait()
            found = compare_there(candidate, original, patience or Patience(), gauge)
            if self._condition.held():
                return found
        raise self._condition.refusal()

    @cached_property
    def _first_facts(self) -> Facts:
        return self.board.facts()
