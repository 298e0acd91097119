"""ExecuTorch programs for XNNPACK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, fx

from sartor.export._format import KEY, Format, entries
from sartor.machine import require
from sartor.targets import ExecutorchTarget


class ExecutorchFormat(Format):
    """A program; its method ``sartor`` returns the metadata as JSON."""

    name = "executorch"
    suffix = ".pte"
    runtime = "executorch"
    dynamic = False

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """One file, as the target builds it."""
        ExecutorchTarget().build(network, inputs, path, metadata=metadata)

    def read_metadata(self, path: Path) -> dict[str, str]:
        """What the method ``sartor`` returns."""
        module = require("executorch.runtime", extra="executorch")
        program = module.Runtime.get().load_program(path)
        if KEY not in program.method_names:
            return {}

        outputs = program.load_method(KEY).execute([])
        return entries(outputs[0])
