"""A target without a runtime, for tests of what uses targets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, fx

from sartor.compression import layer_calls
from sartor.machine import Float32Array, write_text
from sartor.policy import FULL_WIDTH
from sartor.targets import Description, Support, Target

_SECONDS_OF_LAYER = 1e-6
_SECONDS_OF_MAC = 1e-9


class FakeTarget(Target):
    """Latency is a fixed function of shapes and bits, outputs are PyTorch's.

    A multiply-accumulate takes 1 ns in fp32 and less in proportion to the bits of its weight,
    0.25 ns at 8 bits; each image as much; each layer costs 1 µs more. Artifacts are JSON files of
    the latency; only the object that built one can run it.

    >>> FakeTarget().describe().supports["conv"].precisions
    ((32, 32), (8, 8))
    """

    name = "fake"
    summary = "made-up latencies"
    profiles = True
    takes = ("batch",)
    suffix = ".json"
    _device: ClassVar[str] = "no device"

    def __init__(
        self,
        threads: int = 1,
        widths: tuple[int, ...] = (FULL_WIDTH, 8),
        *,
        batch: int = 1,
    ) -> None:
        super().__init__(threads, batch)
        self._widths = widths
        self._built: dict[Path, fx.GraphModule] = {}

    def describe(self) -> Description:
        """Every pair of the given widths, fp32 only with itself, for every kind of layer."""
        pairs = []
        for weights in self._widths:
            for activations in self._widths:
                # fp32 goes with nothing but itself
                if (weights == FULL_WIDTH) == (activations == FULL_WIDTH):
                    pairs.append((weights, activations))

        return Description(
            target=self.name,
            device=self._device,
            runtime="fake 1",
            threads=self.threads,
            supports=Support.for_all_layers(pairs),
            measured=False,
            batch=self.batch,
            channel_multiple=1,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A JSON file with the latency of each layer."""
        layers: dict[str, float] = {}
        for call in layer_calls(network, inputs):
            weight = call.layer.weight
            positions = call.output.numel()
            macs = weight.numel() * positions / len(weight)

            # layers that are not quantized have no such attribute
            bits = getattr(call.layer, "weight_bits", FULL_WIDTH)
            seconds = _SECONDS_OF_LAYER + _SECONDS_OF_MAC * macs * bits / FULL_WIDTH

            # a layer may be called more than once
            before = layers.get(call.name, 0.0)
            layers[call.name] = before + seconds

        text = json.dumps(layers)
        write_text(path, text)
        self._built[path] = network
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> FakeSession:
        """The network that was built."""
        network = self._built.get(artifact)
        layers = self.profile(artifact)
        return FakeSession(network, sum(layers.values()))

    def profile(self, artifact: Path) -> dict[str, float]:
        """As the file says."""
        text = artifact.read_text(encoding="utf-8")
        layers: dict[str, float] = json.loads(text)
        return layers


class FakeSession:
    """A network and its made-up latency."""

    batch: int | None = None

    def __init__(self, network: fx.GraphModule | None, seconds: float) -> None:
        self._network = network
        self._seconds = seconds

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """PyTorch's output."""
        assert self._network is not None, "only the object that built an artifact can run it"
        tensors = [torch.from_numpy(item) for item in inputs]
        with torch.no_grad():
            output = self._network(*tensors)
        return [output.numpy()]

    def seconds(self) -> float:
        """Always the same."""
        return self._seconds
