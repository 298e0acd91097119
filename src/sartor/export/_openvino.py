"""OpenVINO's intermediate representation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor, fx

from sartor.export._format import KEY, Format
from sartor.machine import require, write_atomically
from sartor.targets import write_onnx


class OpenVinoFormat(Format):
    """Two files: the network in XML, and its weights beside it, with the suffix .bin."""

    name = "openvino"
    suffix = ".xml"
    runtime = "openvino"

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """Two files; weights come first, so that a description never stands without them."""
        runtime = require("openvino", extra="openvino")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "model.onnx"
            write_onnx(network, inputs, source, dynamic_batch=dynamic)
            model = runtime.Core().read_model(str(source))
            for name, value in metadata.items():
                model.set_rt_info(value, [KEY, name])

            # halves would change what the network computes
            whole = Path(folder) / "model.xml"
            runtime.save_model(model, str(whole), compress_to_fp16=False)

            for suffix in (".bin", path.suffix):
                content = whole.with_suffix(suffix).read_bytes()
                place = path.with_suffix(suffix)
                write_atomically(place, partial(Path.write_bytes, data=content))

    def read_metadata(self, path: Path) -> dict[str, str]:
        """Runtime information of the model."""
        runtime = require("openvino", extra="openvino")
        model = runtime.Core().read_model(str(path))
        found = model.get_rt_info()
        if KEY not in found:
            return {}

        entries = found[KEY].items()
        return {name: value.astype(str) for name, value in entries}

    def files(self, path: Path) -> list[Path]:
        """The description, and its weights if they are there."""
        return [file for file in (path, path.with_suffix(".bin")) if file.exists()]
