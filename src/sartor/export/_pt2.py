"""PyTorch's own archive of exported programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, fx

from sartor.export._format import Format, entries
from sartor.targets import PROGRAM_METADATA, write_program


class Pt2Format(Format):
    """An archive of ``torch.export`` that holds every width of bits."""

    name = "pt2"
    suffix = ".pt2"
    runtime = "torch"

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """One file; the metadata are the file ``sartor.json`` in it."""
        write_program(network, inputs, path, metadata=metadata, dynamic=dynamic)

    def read_metadata(self, path: Path) -> dict[str, str]:
        """The file ``sartor.json`` in the archive."""
        extra = {PROGRAM_METADATA: ""}
        torch.export.load(path, extra_files=extra)
        return entries(extra[PROGRAM_METADATA] or "{}")
