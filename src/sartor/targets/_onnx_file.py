"""Networks as ONNX files."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from sartor.compression import ActivationQuantizer, QuantizedWeight
from sartor.errors import RunError, UsageError
from sartor.machine import require, write_atomically
from sartor.targets._exporting import exporting
from sartor.targets._flat_outputs import flat_outputs
from sartor.targets._onnx_graph import explicit_pads, store_integers
from sartor.targets._onnx_names import name_layers
from sartor.targets._specialized import without_defaults
from sartor.targets._written_out import norms_written_out

#: Versions that both runtimes read and whose QuantizeLinear has an axis.
_OPSET = 17
#: Bits that QuantizeLinear and DequantizeLinear have.
BITS = 8


def write_onnx(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    dynamic_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network; its layers' names are the nodes', ``metadata`` the model's properties.

    Fake quantization becomes QuantizeLinear and DequantizeLinear, weights are stored as integers.
    The batch is as large as that of ``inputs``, or of any size.

    Raises `UsageError` for other widths than the 8 bits that these operators have, `RunError` for a
    network that ONNX lacks operators for.
    """
    _require_width(network, path)
    return write_model(
        network,
        inputs,
        path,
        named=network,
        extra="onnxruntime",
        dynamic_batch=dynamic_batch,
        metadata=metadata,
    )


def write_model(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    named: fx.GraphModule,
    extra: str,
    dynamic_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
    domains: Mapping[str, int] | None = None,
    known: Sequence[str] = (),
) -> Path:
    """Write a network as it is traced; nodes bear the names of the layers of ``named``.

    ``domains`` are those of operators beside ONNX's with their versions, ``known`` the names of
    all that may stand in the file. ``extra`` installs what is needed. Raises `RunError` for an
    operator of another domain.
    """
    onnx = require("onnx", extra=extra)

    def fill(temporary: Path) -> None:
        plain, outputs = flat_outputs(norms_written_out(without_defaults(network)))
        _trace_into(temporary, plain, inputs, outputs, dynamic_batch=dynamic_batch, domains=domains)

        # PyTorch's exporter only writes files, so the model is read back
        model = onnx.load(temporary)
        _require_operators(model, known=known)
        explicit_pads(model)
        store_integers(model)
        name_layers(model, named)
        onnx.helper.set_model_props(model, dict(metadata or {}))
        onnx.save(model, temporary)

    write_atomically(path, fill)
    return path


def _require_width(network: fx.GraphModule, path: Path) -> None:
    for name, module in network.named_modules():
        bits = BITS
        if isinstance(module, QuantizedWeight):
            bits = module.weight_bits
        elif isinstance(module, ActivationQuantizer):
            bits = module.bits

        if bits != BITS:
            raise UsageError(
                f"{path}: {name} has {bits} bits, an ONNX file holds {BITS}; "
                "sartor.load, pt2 and onnx-bitserial hold every width"
            )


def _trace_into(
    path: Path,
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    outputs: list[str],
    *,
    dynamic_batch: bool = False,
    domains: Mapping[str, int] | None = None,
) -> None:
    """PyTorch's exporter by tracing: twenty times faster than its successor.

    Operators that ONNX lacks are left in the file, because the exporter prints the whole network
    before it refuses one. ``domains`` are those of operators that are none of ONNX's, with their
    versions.
    """
    _require_tracing_exporter()
    names = ["input"]
    if len(inputs) > 1:
        names = [f"input_{index}" for index in range(len(inputs))]

    axes: dict[str, dict[int, str]] | None = None
    if dynamic_batch:
        axes = {name: {0: "batch"} for name in (*names, *outputs)}

    with exporting("ONNX"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is called deprecated
        torch.onnx.export(
            network,
            tuple(inputs),
            path,
            opset_version=_OPSET,
            dynamo=False,
            operator_export_type=torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH,
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            # Functions that say what they are exported as are not looked into.
            autograd_inlining=False,
            custom_opsets=dict(domains or {}),
        )


def _require_tracing_exporter() -> None:
    """Raise `RunError` where PyTorch has given up the exporter that is called deprecated."""
    known = inspect.signature(torch.onnx.export).parameters
    if not {"dynamo", "dynamic_axes", "operator_export_type", "autograd_inlining"} <= known.keys():
        raise RunError(
            f"torch {torch.__version__} has no ONNX exporter by tracing; install an earlier one"
        )


def _require_operators(model: Any, known: Sequence[str] = ()) -> None:
    """Raise `RunError` naming an operator that is none of ONNX's, nor of a domain that is known."""
    for node in model.graph.node:
        if node.domain and node.domain not in known:
            raise RunError(
                f"ONNX cannot express the network: it has no operator for "
                f"{node.domain.removeprefix('org.pytorch.')}::{node.op_type}"
            )
