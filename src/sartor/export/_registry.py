"""Export formats by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sartor.errors import UsageError
from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.export._format import Format

#: Classes of formats by the names of the command line.
FORMATS: Registry[type[Format]] = Registry(
    "format",
    {
        "onnx": "sartor.export._onnx:OnnxFormat",
        "onnx-bitserial": "sartor.export._onnx_bitserial:BitSerialFormat",
        "openvino": "sartor.export._openvino:OpenVinoFormat",
        "executorch": "sartor.export._executorch:ExecutorchFormat",
        "aoti": "sartor.export._aoti:AotiFormat",
        "pt2": "sartor.export._pt2:Pt2Format",
        "qonnx": "sartor.export._qonnx:QonnxFormat",
    },
)


def find_format(form: str | Format) -> Format:
    """A format by its name in `FORMATS` or as ``package.module:Class``; a format itself stays it.

    Raises `UsageError` for a name that is not known and for what is no format.

    >>> find_format("openvino").suffix
    '.xml'
    >>> find_format("onx")
    Traceback (most recent call last):
    sartor.errors.UsageError: format 'onx' is not known; did you mean 'onnx'? allowed are ...
    """
    if not isinstance(form, str):
        return form

    # a package may register an instance or a class
    found: object = FORMATS.get(form)
    made = found
    if isinstance(found, type):
        made = found()

    if not hasattr(made, "read_metadata"):
        raise UsageError(f"format {form!r} is no class derived from sartor.export.Format")
    return cast("Format", made)
