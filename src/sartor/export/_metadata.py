"""What is written inside an artifact of where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from sartor.machine import require

#: What the metadata stands under, where a format has names for it.
KEY = "sartor"
#: The entry that tells of which tensors an artifact was made (`sartor.compression.identity`).
NETWORK = "network"


def read_onnx(path: Path) -> dict[str, str]:
    """Properties of the model."""
    model = require("onnx", extra="onnxruntime").load(str(path), load_external_data=False)
    return {item.key: item.value for item in model.metadata_props}


def read_openvino(path: Path) -> dict[str, str]:
    """Runtime information of the model."""
    found = require("openvino", extra="openvino").Core().read_model(str(path)).get_rt_info()
    return {name: value.astype(str) for name, value in found[KEY].items()} if KEY in found else {}


def read_executorch(path: Path) -> dict[str, str]:
    """What the method ``sartor`` of the program returns."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    return _entries(program.load_method(KEY).execute([])[0]) if KEY in program.method_names else {}


def read_pt2(path: Path) -> dict[str, str]:
    """The file ``sartor.json`` in the archive."""
    extra = {f"{KEY}.json": ""}
    torch.export.load(path, extra_files=extra)
    return _entries(extra[f"{KEY}.json"] or "{}")


def _entries(text: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(text).items()}
