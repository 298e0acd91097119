"""PyTorch's own archive of exported programs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, fx

from sartor.export._format import KEY, Format, entries
from sartor.machine import write_atomically
from sartor.targets import exporting, with_integers

_FILE = f"{KEY}.json"


class Pt2Format(Format):
    """An archive of ``torch.export`` that holds every width of bits; no target here runs it."""

    name = "pt2"
    suffix = ".pt2"

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
        shapes = None
        if dynamic:
            batch = torch.export.Dim("batch", min=1)
            shapes = tuple({0: batch} for _ in inputs)

        lowered = with_integers(network)
        with exporting("torch.export"):
            program = torch.export.export(
                lowered,
                tuple(inputs),
                dynamic_shapes=shapes,
            )

        # in memory first, so that the file appears whole or not at all
        buffer = io.BytesIO()
        text = json.dumps(dict(metadata))
        torch.export.save(program, buffer, extra_files={_FILE: text})
        content = buffer.getvalue()
        write_atomically(path, partial(Path.write_bytes, data=content))

    def read_metadata(self, path: Path) -> dict[str, str]:
        """The file ``sartor.json`` in the archive."""
        extra = {_FILE: ""}
        torch.export.load(path, extra_files=extra)
        return entries(extra[_FILE] or "{}")
