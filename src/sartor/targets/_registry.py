"""Targets by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.registry import Registry
from sartor.targets._options import TargetOptions

if TYPE_CHECKING:
    from sartor.targets._base import Target

#: Options that a target refuses unless it takes them.
_CHOICES = ("batch", "device", "precision")

#: Classes of targets by the names of the command line.
TARGETS: Registry[type[Target]] = Registry(
    "target",
    {
        "onnxruntime": "sartor.targets._onnxruntime:OnnxRuntimeTarget",
        "onnxruntime-bitserial": "sartor.targets.bitserial:BitSerialTarget",
        "openvino": "sartor.targets._openvino:OpenVinoTarget",
        "openvino-bf16": "sartor.targets._openvino:OpenVinoBf16Target",
        "executorch": "sartor.targets._executorch:ExecutorchTarget",
        "torch": "sartor.targets._torch:TorchTarget",
        "inductor": "sartor.targets._inductor:InductorTarget",
        "command": "sartor.targets._command:CommandTarget",
        "table": "sartor.targets._table:TableTarget",
        "qonnx": "sartor.targets._qonnx:QonnxTarget",
        "fpga": "sartor.targets.fpga:FpgaTarget",
    },
)


def target_class(name: str) -> type[Target]:
    """The class of a target, by its name in `TARGETS` or as ``package.module:Class``.

    A name may be followed by a colon and a text that says more, as in ``fpga:pynq-z2``.

    Raises `UsageError` for a name that is not known and for what is no target.

    >>> target_class("table").needs
    '--table'
    """
    plain, _ = _split(name)
    found: object = TARGETS.get(plain)
    if not hasattr(found, "from_options"):
        raise UsageError(f"target {name!r} is no class derived from sartor.targets.Target")
    return TARGETS.get(plain)


def _split(name: str) -> tuple[str, str]:
    """The name in `TARGETS`, or a reference to a class, and the text that follows the name."""
    plain, _, text = name.partition(":")
    if plain in TARGETS:
        return plain, text
    return name, ""


def make(name: str, options: TargetOptions | None = None) -> Target:
    """A target by its name in `TARGETS` or as ``package.module:Class``.

    Raises `UsageError` for a name that is not known, for an option that the target lacks and for
    what this processor cannot run, `MissingPackageError` if its runtime is not installed.

    >>> make("onnxrun")
    Traceback (most recent call last):
    sartor.errors.UsageError: target 'onnxrun' is not known; did you mean 'onnxruntime'? ...
    """
    options = options or TargetOptions()
    kind = target_class(name)
    _require_taken(name, kind, options)
    _, text = _split(name)
    if text:
        return kind.from_text(text, options)
    return kind.from_options(options)


def taken(name: str, options: TargetOptions) -> TargetOptions:
    """The options, with what a target would refuse of batch, device and precision as is usual.

    >>> taken("openvino", TargetOptions(batch=4, device="cuda"))
    TargetOptions(threads=1, batch=4, device='cpu', precision='fp32', ...)
    """
    kind = target_class(name)
    usual = TargetOptions()
    refused = {}
    for option in _CHOICES:
        if option not in kind.takes:
            refused[option] = getattr(usual, option)
    return dataclasses.replace(options, **refused)


def _require_taken(name: str, kind: type[Target], options: TargetOptions) -> None:
    """Raise `UsageError` for an option that a target would ignore, so that it is no surprise."""
    usual = TargetOptions()
    if options.batch < 1:
        raise UsageError(f"batch is {options.batch}; it must be at least 1")

    for option in _CHOICES:
        value = getattr(options, option)
        if option in kind.takes or value == getattr(usual, option):
            continue
        raise UsageError(
            f"target {name} has no choice of {option}, which is {value}; allowed is "
            f"{getattr(usual, option)}"
        )
