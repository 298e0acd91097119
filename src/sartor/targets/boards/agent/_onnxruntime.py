"""ONNX Runtime on a board."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartor.targets.boards.agent._inputs import random_input
from sartor.targets.boards.agent._runtime import Runtime

#: Only what ends the process is printed: everything else is raised.
_FATAL = 4


class OnnxRuntime(Runtime):
    """On the processor, with the settings that sartor gives it on the machine it runs on."""

    package = "onnxruntime"
    least = (1, 20)

    def version(self) -> str:
        """As the package says."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def load(self, path: Path, threads: int, timed: int) -> OnnxRuntimeNetwork:
        """A session; several threads sleep between runs, a single one may spin."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        spins = "1" if threads == 1 else "0"
        options.add_session_config_entry("session.intra_op.allow_spinning", spins)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        return OnnxRuntimeNetwork(session, timed)


class OnnxRuntimeNetwork:
    """A session of the runtime."""

    def __init__(self, session: Any, timed: int) -> None:
        self._session = session
        inputs = session.get_inputs()
        self._names = [item.name for item in inputs]

        # sizes that are left open have names, not numbers
        first = inputs[0].shape[0]
        self.batch: int | None = first if isinstance(first, int) else None
        self._fixed = {}
        for item in inputs:
            _, *sides = item.shape
            shape = [self.batch or timed]
            shape += [side if isinstance(side, int) else 1 for side in sides]
            self._fixed[item.name] = random_input(shape, whole="int" in item.type)

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """All outputs."""
        given = dict(zip(self._names, inputs, strict=True))
        outputs: list[Any] = self._session.run(None, given)
        return outputs

    def seconds(self) -> float:
        """Of one run on random numbers."""
        started = time.perf_counter()
        self._session.run(None, self._fixed)
        return time.perf_counter() - started
