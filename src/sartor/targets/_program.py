"""Networks as exported programs of PyTorch, and the archives that keep them."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from sartor.machine import write_atomically
from sartor.targets._batches import of_batch
from sartor.targets._exporting import exporting, running
from sartor.targets._pt2e import require_operators, with_integers

#: The file of an archive that holds the metadata, as JSON.
PROGRAM_METADATA = "sartor.json"
#: Tracers take a size of 1 for a constant.
_OPEN_BATCH = 2


def exported(
    network: fx.GraphModule, inputs: Sequence[Tensor], *, dynamic: bool = False
) -> ExportedProgram:
    """The program of a network, for batches of any size if it is ``dynamic``.

    Raises `RunError` for a network that torch.export cannot express.
    """
    shapes = None
    examples = tuple(item.contiguous() for item in inputs)
    if dynamic:
        batch = torch.export.Dim("batch", min=1)
        shapes = tuple({0: batch} for _ in inputs)
        examples = of_batch(examples, _OPEN_BATCH)

    with exporting("torch.export"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(network, examples, dynamic_shapes=shapes)


def write_program(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    dynamic: bool = False,
) -> Path:
    """Write an archive whole or not at all; fake quantization stands in it as integers.

    Raises `RunError` for a network that torch.export cannot express.
    """
    program = exported(with_integers(network), inputs, dynamic=dynamic)
    text = json.dumps(dict(metadata or {}))

    # in memory first, so that the file appears whole
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer, extra_files={PROGRAM_METADATA: text})

    content = buffer.getvalue()
    write_atomically(path, partial(Path.write_bytes, data=content))
    return path


def read_program(path: Path, runtime: str) -> ExportedProgram:
    """The program in an archive. Raises `RunError`, naming the ``runtime``, for other files."""
    # a program with integers is made of them
    require_operators()
    with running(path, runtime, "loaded"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(path)
