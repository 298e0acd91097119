"""Formats by name; each writes one artifact whole or not at all, with its metadata inside where the format can hold it."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, fx

from sartor.compression import deployable, tensor_identity
from sartor.errors import RunError, UsageError
from sartor.export._metadata import (
    KEY,
    NETWORK,
    read_executorch,
    read_onnx,
    read_openvino,
    read_pt2,
)
from sartor.machine import require, write_atomically
from sartor.targets import ExecutorchTarget, exporter_errors, with_integers, write_onnx

FormatName = Literal["onnx", "openvino", "executorch", "pt2"]
#: Network in the form targets build from, inputs, path, metadata, whether any batch size shall run.
Writer = Callable[[fx.GraphModule, tuple[Tensor, ...], Path, Mapping[str, str], bool], None]


@dataclass(frozen=True)
class Format:
    """How a format is written; ``target`` is the runtime that verifies it."""

    suffix: str
    target: str
    write: Writer
    metadata: Callable[[Path], dict[str, str]]
    """Reads what `export` wrote beside the network."""
    dynamic: bool = True
    """Whether it can leave the batch size open."""


def export(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    form: FormatName,
    *,
    metadata: Mapping[str, str] | None = None,
    batch: int | None = None,
) -> Path:
    """Write a network; ``inputs`` have a batch of one, ``batch`` images run at a time, any number if it is None.

    ``metadata`` and an entry that tells of which tensors it was made stand inside the file.

    Raises `UsageError` for an unknown format, a path of another suffix, or an open batch size in a format that needs one,
    `RunError` for a network that the format cannot express.
    """
    if form not in FORMATS:
        raise UsageError(f"format {form!r} is not known; allowed are {', '.join(FORMATS)}")
    chosen = FORMATS[form]
    if path.suffix != chosen.suffix:
        raise UsageError(f"{path}: a file of format {form!r} ends in {chosen.suffix}")
    if batch is not None and batch < 1:
        raise UsageError(f"batch is {batch}; it must be at least 1")
    if batch is None and not chosen.dynamic:
        raise UsageError(f"format {form!r} needs a fixed batch size; give for instance --batch 1")
    size = 2 if batch is None else batch  # tracers take a size of 1 for a constant
    sized = tuple(item[:1].repeat(size, *[1] * (item.dim() - 1)) for item in inputs)
    told = {**(metadata or {}), NETWORK: tensor_identity(network.state_dict())}
    try:
        chosen.write(deployable(network).eval(), sized, path, told, batch is None)
    except RunError as error:
        raise RunError(f"{path}: {error}{'' if batch else '; try --batch 1'}") from error
    return path


def _onnx(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    metadata: Mapping[str, str],
    dynamic: bool,
) -> None:
    write_onnx(network, inputs, path, dynamic_batch=dynamic, metadata=metadata)


def _openvino(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    metadata: Mapping[str, str],
    dynamic: bool,
) -> None:
    """Two files; the weights, with the suffix .bin, come first, so that a description never stands without them."""
    runtime = require("openvino", extra="openvino")
    with tempfile.TemporaryDirectory() as folder:
        model = runtime.Core().read_model(
            str(write_onnx(network, inputs, Path(folder) / "model.onnx", dynamic_batch=dynamic))
        )
        for name, value in metadata.items():
            model.set_rt_info(value, [KEY, name])
        runtime.save_model(model, str(Path(folder) / "model.xml"), compress_to_fp16=False)
        for suffix in (".bin", path.suffix):
            content = (Path(folder) / "model.xml").with_suffix(suffix).read_bytes()
            write_atomically(path.with_suffix(suffix), partial(_fill, content=content))


def _fill(path: Path, *, content: bytes) -> None:
    path.write_bytes(content)


def _executorch(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    metadata: Mapping[str, str],
    dynamic: bool,
) -> None:
    del dynamic
    ExecutorchTarget().build(network, inputs, path, metadata=metadata)


def _pt2(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    metadata: Mapping[str, str],
    dynamic: bool,
) -> None:
    shapes = tuple({0: torch.export.Dim("batch", min=1)} for _ in inputs) if dynamic else None
    lowered = with_integers(network)
    with exporter_errors("torch.export"), torch.no_grad():
        program = torch.export.export(lowered, inputs, dynamic_shapes=shapes)
    extra = {f"{KEY}.json": json.dumps(dict(metadata))}
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=extra)
    write_atomically(path, partial(_fill, content=buffer.getvalue()))


FORMATS: dict[FormatName, Format] = {
    "onnx": Format(".onnx", "onnxruntime", _onnx, read_onnx),
    "openvino": Format(".xml", "openvino", _openvino, read_openvino),
    "executorch": Format(".pte", "executorch", _executorch, read_executorch, dynamic=False),
    "pt2": Format(".pt2", "", _pt2, read_pt2),
}
assert tuple(FORMATS) == get_args(FormatName)
