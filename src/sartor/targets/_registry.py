"""Where candidates run and are measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sartor.errors import UsageError
from sartor.targets._base import Description, Session, Support, Target, precisions
from sartor.targets._command import NUMBER, CommandTarget
from sartor.targets._deployment import SURE, Deployment
from sartor.targets._executorch import ExecutorchTarget
from sartor.targets._exporter_errors import exporter_errors
from sartor.targets._onnx import BIASED, write_onnx
from sartor.targets._onnxruntime import OnnxRuntimeTarget
from sartor.targets._openvino import OpenVinoTarget
from sartor.targets._pt2e import with_integers
from sartor.targets._quiet import QuietGauge
from sartor.targets._table import TableTarget
from sartor.targets._timing import Comparison, Latency, Patience, compare
from sartor.targets.prediction._latency_table import LatencyTable

#: Targets by the names of the command line.
TARGETS: dict[str, Callable[..., Target]] = {
    "onnxruntime": OnnxRuntimeTarget,
    "openvino": OpenVinoTarget,
    "openvino-bf16": partial(OpenVinoTarget, precision="bf16"),
    "executorch": ExecutorchTarget,
}


def make(name: str, *, threads: int = 1) -> Target:
    """A target by name.

    Raises `UsageError` for unknown names and for what this processor cannot run, `MissingPackageError` if the runtime is not
    installed.
    """
    if name not in TARGETS:
        raise UsageError(
            f"target {name!r} is not known; allowed are {', '.join((*TARGETS, CommandTarget.name, TableTarget.name))}"
        )
    return TARGETS[name](threads=threads)


__all__ = [
    "BIASED",
    "NUMBER",
    "SURE",
    "TARGETS",
    "CommandTarget",
    "Comparison",
    "Deployment",
    "Description",
    "ExecutorchTarget",
    "Latency",
    "LatencyTable",
    "OnnxRuntimeTarget",
    "OpenVinoTarget",
    "Patience",
    "QuietGauge",
    "Session",
    "Support",
    "TableTarget",
    "Target",
    "compare",
    "exporter_errors",
    "make",
    "precisions",
    "with_integers",
    "write_onnx",
]
