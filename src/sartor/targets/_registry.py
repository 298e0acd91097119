"""Targets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.registry import Registry
from sartor.targets._options import TargetOptions

if TYPE_CHECKING:
    from sartor.targets._base import Target

#: Classes of targets by the names of the command line.
TARGETS: Registry[type[Target]] = Registry(
    "target",
    {
        "onnxruntime": "sartor.targets._onnxruntime:OnnxRuntimeTarget",
        "openvino": "sartor.targets._openvino:OpenVinoTarget",
        "openvino-bf16": "sartor.targets._openvino:OpenVinoBf16Target",
        "executorch": "sartor.targets._executorch:ExecutorchTarget",
        "command": "sartor.targets._command:CommandTarget",
        "table": "sartor.targets._table:TableTarget",
    },
)


def target_class(name: str) -> type[Target]:
    """The class of a target, by its name in `TARGETS` or as ``package.module:Class``.

    Raises `UsageError` for a name that is not known and for what is no target.

    >>> target_class("table").needs
    '--table'
    """
    found: object = TARGETS.get(name)
    if not hasattr(found, "from_options"):
        raise UsageError(f"target {name!r} is no class derived from sartor.targets.Target")
    return TARGETS.get(name)


def make(name: str, options: TargetOptions | None = None) -> Target:
    """A target by its name in `TARGETS` or as ``package.module:Class``.

    Raises `UsageError` for a name that is not known, for an option that the target lacks and for
    what this processor cannot run, `MissingPackageError` if its runtime is not installed.

    >>> make("onnxrun")
    Traceback (most recent call last):
    sartor.errors.UsageError: target 'onnxrun' is not known; did you mean 'onnxruntime'? ...
    """
    return target_class(name).from_options(options or TargetOptions())
