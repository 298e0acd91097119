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
#: Stands between the name of a target and where it is.
_AT = ":"

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
        "ssh": "sartor.targets.boards:SshTarget",
        "command": "sartor.targets._command:CommandTarget",
        "table": "sartor.targets._table:TableTarget",
        "qonnx": "sartor.targets._qonnx:QonnxTarget",
        "fpga": "sartor.targets.fpga:FpgaTarget",
    },
)


def target_class(name: str) -> type[Target]:
    """The class of a target, by its name in `TARGETS` or as ``package.module:Class``.

    Where it is, behind a colon after its name, or on which device, is no part of it.

    Raises `UsageError` for a name that is not known and for what is no target.

    >>> target_class("table").needs
    '--table'
    >>> target_class("ssh:pi").name
    'ssh'
    """
    name, _ = _name_and_place(name)
    found: object = TARGETS.get(name)
    if not hasattr(found, "from_options"):
        raise UsageError(f"target {name!r} is no class derived from sartor.targets.Target")
    return TARGETS.get(name)


def make(name: str, options: TargetOptions | None = None) -> Target:
    """A target by its name in `TARGETS` or as ``package.module:Class``.

    Of one that is elsewhere it is said where, behind a colon after its name: ``ssh:pi``, and of
    one that is many devices, which: ``fpga:pynq-z2``.

    Raises `UsageError` for a name that is not known, for an option that the target lacks and for
    what this processor cannot run, `MissingPackageError` if its runtime is not installed.

    >>> make("onnxrun")
    Traceback (most recent call last):
    sartor.errors.UsageError: target 'onnxrun' is not known; did you mean 'onnxruntime'? ...
    """
    options = options or TargetOptions()
    kind = target_class(name)
    name, place = _name_and_place(name)
    if place and "place" not in kind.takes:
        raise UsageError(f"target {name} takes nothing behind its name, which is {place!r}")

    _require_taken(name, kind, options)
    return kind.from_options(dataclasses.replace(options, place=place))


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


def _name_and_place(text: str) -> tuple[str, str]:
    """The name of a target, and where it is; classes of other packages have a colon, too."""
    name, _, place = text.partition(_AT)
    return (name, place) if name in TARGETS else (text, "")


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
