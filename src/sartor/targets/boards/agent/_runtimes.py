"""Runtimes of boards by name; a new one is a file beside these, and a line here."""

from __future__ import annotations

from sartor.targets.boards.agent._onnxruntime import OnnxRuntime
from sartor.targets.boards.agent._openvino import OpenVino
from sartor.targets.boards.agent._runtime import Runtime

RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
}


def installed() -> dict[str, str]:
    """Versions of the runtimes that can be imported, by name; empty for those that cannot."""
    found = {}
    for name, runtime in RUNTIMES.items():
        try:
            found[name] = runtime.version()
        except Exception:  # what is half installed raises anything
            found[name] = ""
    return found
