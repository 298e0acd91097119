"""What a peer is asked for, and what it answers.

No command of its own: peers.py asks, in sartor's environment, and the workers answer, each in the
environment of its peer. Files between them are JSON, safetensors and ONNX.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Images on which both sides compare what the pruned network answers.
COMPARED = 64


@dataclass(frozen=True)
class Job:
    """What a peer is asked for.

    Attributes:
        method: Which of the peer's.
        model: Name of the network.
        weights: File of its trained weights.
        onnx: The network as an ONNX file, for any number of images.
        images: safetensors file: calibration and validation, normalised, and labels of both.
        folder: Where to answer.
        share: MACs that may be left, as a share of the original's.
        whole: Layers that keep all their outputs: where shortcuts meet, and the classifier.
    """

    method: str
    model: str
    weights: str
    onnx: str
    images: str
    folder: str
    share: float = 1.0
    whole: tuple[str, ...] = ()

    @classmethod
    def read(cls) -> Job:
        """The one that the command line names."""
        (path,) = sys.argv[1:]
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def write(self) -> Path:
        """Leave it in the folder of the answer."""
        path = Path(self.folder) / "job.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @property
    def network(self) -> nn.Module:
        """The trained network, in evaluation mode; needs sartor's source on the path."""
        from sartor import models

        network = models.build_trained(
            self.model, Path(self.weights), classes=10, pixels=32, missing="no weights"
        )
        return network.eval()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The images, by the names of their file."""
        return load_file(self.images)

    def tensors(self) -> dict[str, Tensor]:
        """The same for PyTorch."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays().items()}

    @property
    def answer_file(self) -> Path:
        """JSON: version and seconds; of a pruned network, which channels each layer keeps."""
        return Path(self.folder) / "answer.json"

    @property
    def network_file(self) -> Path:
        """safetensors: a pruned network, and what it answers to some images."""
        return Path(self.folder) / "network.safetensors"

    @property
    def onnx_file(self) -> Path:
        """The quantized network."""
        return Path(self.folder) / "quantized.onnx"

    def answer(self, package: str, seconds: float, **found: Any) -> None:
        """Say what came of it, once everything else is written."""
        answer = {"version": f"{package} {version(package)}", "seconds": seconds, **found}
        self.answer_file.write_text(json.dumps(answer), encoding="utf-8")

    def answer_pruned(
        self, package: str, seconds: float, network: nn.Module, kept: dict[str, list[int]]
    ) -> None:
        """Hand a pruned network over."""
        import torch
        from safetensors.torch import save_file

        with torch.no_grad():
            outputs = network(self.tensors()["calibration"][:COMPARED])
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        save_file({**tensors, "outputs": outputs}, self.network_file)
        self.answer(package, seconds, kept=kept)


def one_by_one(images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Batches of one image."""
    return [images[index : index + 1] for index in range(len(images))]


def macs(network: nn.Module, image: Tensor) -> int:
    """Of convolutions and linear layers, for one image: what sartor counts."""
    import torch
    from torch import nn

    total = 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        positions = output[0, 0].numel()
        total += weight.numel() * positions

    layers = [item for item in network.modules() if isinstance(item, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return total
