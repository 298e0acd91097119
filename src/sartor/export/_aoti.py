"""Packages of AOTInductor: networks compiled ahead of time for one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from torch import Tensor, fx

from sartor.export._format import Format
from sartor.targets import DEVICE, PRECISION, InductorTarget, TargetOptions, read_entry


class AotiFormat(Format):
    """A package that runs without Python, for one device and one format of numbers.

    Args:
        device: cpu, cuda, cuda:1 or mps.
        precision: fp32, bf16 or fp16.
    """

    name = "aoti"
    suffix = ".aoti.pt2"
    runtime = "inductor"
    dynamic = False

    def __init__(self, device: str = DEVICE, precision: str = PRECISION) -> None:
        self._device = device
        self._precision = precision

    def on(self, options: TargetOptions) -> Self:
        """For the device and the precision of a target."""
        return type(self)(options.device, options.precision)

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """One file, as the target inductor builds it."""
        target = InductorTarget(device=self._device, precision=self._precision)
        target.build(network, inputs, path, metadata=metadata)

    def read_metadata(self, path: Path) -> dict[str, str]:
        """What the package says of itself."""
        found: dict[str, str] = read_entry(path)["metadata"]
        return found
