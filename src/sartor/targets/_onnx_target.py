"""What the runtimes that read ONNX files have in common."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar

from torch import Tensor, fx

from sartor.compression import INTEGER, REDUCED, Scheme
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._onnx_file import BITS, write_onnx
from sartor.targets._saturation import saturates

#: Pairs of weight and activation bits that such a runtime has kernels for.
PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (BITS, BITS))


class OnnxTarget(Target):
    """A runtime for ONNX files on this machine's processor.

    It runs int8 and what is not quantized in any mix of layers.
    """

    suffix = ".onnx"
    takes: ClassVar[tuple[str, ...]] = ("batch",)

    def __init__(self, threads: int, batch: int, runtime: str) -> None:
        super().__init__(threads, batch)
        self._described = runtime

    @cached_property
    def scheme(self) -> Scheme:
        """Symmetric weights, in half of their range where the kernels here lose large sums."""
        if saturates(self):
            return REDUCED
        return INTEGER

    def describe(self) -> Description:
        """The processor here."""
        return Description(
            target=self.name,
            device=processor(),
            runtime=self._described,
            threads=self.threads,
            supports=Support.for_all_layers(PRECISIONS),
            batch=self.batch,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with a free batch size."""
        return write_onnx(network, inputs, path, dynamic_batch=True)


@cache
def processor() -> str:
    """Name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        # Python knows only the architecture on Linux
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            label, _, value = line.partition(":")
            if label.startswith("model name"):
                return value.strip()

    return platform.processor() or platform.machine()
