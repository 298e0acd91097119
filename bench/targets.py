"""What targets do to real networks: accuracy, speed of int8, and how far measurements agree.

    python bench/targets.py accuracy --models resnet20 resnet56 resnet18
    python bench/targets.py speed --models resnet20 resnet18
    python bench/targets.py repeat --model resnet20 --times 10 --minutes 10
    python bench/targets.py steer --model resnet20 --times 50

Accuracy stands beside that of the simulation in PyTorch. The last two keep a core busy meanwhile.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, fx

from _common import accuracy, outputs_of, print_header, print_row, subject
from sartor import targets
from sartor.compression import fold, quantize
from sartor.data import Data
from sartor.graph import Network, trace
from sartor.policy import Policy
from sartor.targets import SURE, Comparison, Deployment, Target

BATCH = 250
#: Images that ranges of activations are taken from.
CALIBRATION = 128
ALL_INT8 = "all int8"


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of int8 networks on the test rows: simulated, and in each runtime.

    Attributes:
        models: Names of networks.
        targets: Names of runtimes.
        mixtures: Random mixtures of fp32 and int8 layers beside all-int8.
    """

    models: tuple[str, ...] = ("resnet20", "resnet56", "resnet18")
    targets: tuple[str, ...] = ("onnxruntime", "openvino")
    mixtures: int = 2

    def run(self) -> None:
        """Print a table."""
        titles = [f"{name} (difference)" for name in self.targets]
        print_header("network", "policy", "simulated", *titles)
        for model in self.models:
            network, images = traced(model)
            for name, policy in policies(network, self.mixtures).items():
                print_row(model, name, *self._cells(network, images, policy))

    def _cells(self, network: Network, images: Data, policy: Policy) -> Iterator[str]:
        assert images.test is not None
        pixels = images.test.normalized()
        labels = images.test.labels.numpy()
        scheme = targets.make("onnxruntime").scheme
        calibration = images.calibration.normalized()[:CALIBRATION]
        candidate = quantize(fold(network.module), policy, (calibration,), scheme)
        simulated = accuracy(outputs_of(candidate, pixels, BATCH), labels)
        yield f"{simulated:.2f}"
        for name in self.targets:
            outputs = outputs_on(targets.make(name), candidate, pixels)
            reached = accuracy(outputs, labels)
            yield f"{reached:.2f} ({reached - simulated:+.2f})"


@dataclass(frozen=True)
class Speed:
    """All-int8 against fp32, one thread, batch of one, measured in turns.

    Attributes:
        models: Names of networks.
        targets: Names of runtimes.
    """

    models: tuple[str, ...] = ("resnet20", "resnet18")
    targets: tuple[str, ...] = ("onnxruntime", "openvino")

    def run(self) -> None:
        """Print a table."""
        print_header("network", "target", "fp32, ms", "int8, ms", "fp32 ÷ int8", "interval")
        for model in self.models:
            network, images = traced(model)
            for name in self.targets:
                target = targets.make(name)
                with artifacts(target, network, images) as (candidate, original):
                    found = target.compare(target.load(candidate), target.load(original), SURE)
                print_row(
                    model,
                    target.describe().runtime,
                    f"{1e3 * found.original.median_s:.3f}",
                    f"{1e3 * found.candidate.median_s:.3f}",
                    f"{1 / found.relative:.2f}",
                    f"{1 / found.high:.2f} – {1 / found.low:.2f}",
                )


@dataclass(frozen=True)
class Repeat:
    """The same comparison again and again while another process keeps a core busy.

    Attributes:
        model: Name of the network.
        target: Name of the runtime.
        times: How often.
        minutes: From the first to the last.
    """

    model: str = "resnet20"
    target: str = "onnxruntime"
    times: int = 10
    minutes: float = 10.0

    def run(self) -> None:
        """Print every relative latency and (max − min) / median."""
        network, images = traced(self.model)
        target = targets.make(self.target)
        pause = 60 * self.minutes / max(1, self.times - 1)
        found = []
        with _busy_core(), artifacts(target, network, images) as (candidate, original):
            started = time.perf_counter()
            for index in range(self.times):
                due = started + index * pause
                time.sleep(max(0.0, due - time.perf_counter()))
                compared = target.compare(target.load(candidate), target.load(original), SURE)
                found.append(compared.relative)
                passed = time.perf_counter() - started
                print(f"after {passed:5.0f} s: {compared.relative:.4f}", flush=True)
        share = (max(found) - min(found)) / statistics.median(found)
        print(f"(max − min) / median = {100 * share:.2f} %")


@dataclass(frozen=True)
class Steer:
    """An all-int8 candidate as a search measures it, again and again while a core is kept busy.

    Attributes:
        model: Name of the network.
        target: Name of the runtime.
        times: How often.
    """

    model: str = "resnet20"
    target: str = "onnxruntime"
    times: int = 50

    def run(self) -> None:
        """Print percentiles of the relative latency, and seconds a measurement."""
        network, images = traced(self.model)
        target = targets.make(self.target)
        candidate = all_int8(target, network, images)
        found = []
        seconds = []
        with tempfile.TemporaryDirectory() as folder, _busy_core():
            deployment = Deployment.build(target, network, Path(folder))
            deployment.original_s()
            for _ in range(self.times):
                started = time.perf_counter()
                found.append(deployment.measure(candidate))
                seconds.append(time.perf_counter() - started)

        print_header("", "number", "5 %", "median", "95 %", "standard deviation ÷ median")
        _print_percentiles("settled", [item for item in found if item.settled])
        _print_percentiles("all", found)
        median = statistics.median(seconds)
        print(f"seconds a measurement: median {median:.2f}, mean {statistics.mean(seconds):.2f}")


def _print_percentiles(name: str, found: Sequence[Comparison]) -> None:
    if not found:
        print_row(name, 0, "", "", "", "")
        return
    values = [comparison.relative for comparison in found]
    low, middle, high = np.percentile(values, [5, 50, 95])
    deviation = f"{100 * np.std(values) / middle:.1f} %"
    print_row(name, len(values), f"{low:.3f}", f"{middle:.3f}", f"{high:.3f}", deviation)


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_keep_busy, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()


def _keep_busy() -> None:
    while True:
        pass


def traced(model: str) -> tuple[Network, Data]:
    """A pretrained network and CIFAR-10."""
    network, images = subject(model, calibration=256)
    return trace(network, images.calibration.normalized()[:1]), images


def policies(network: Network, mixtures: int) -> dict[str, Policy]:
    """All layers at 8 bits, and random mixtures."""
    names = [layer.name for layer in network.layers]
    rng = np.random.default_rng(0)
    found = {ALL_INT8: _int8(names)}
    for index in range(mixtures):
        chosen = [name for name in names if rng.uniform() < 0.6]
        found[f"mixture {index + 1}"] = _int8(chosen)
    return found


def _int8(layers: Sequence[str]) -> Policy:
    bits = dict.fromkeys(layers, 8)
    return Policy(weight_bits=bits, activation_bits=bits)


def outputs_on(target: Target, network: fx.GraphModule, images: Tensor) -> NDArray[np.float32]:
    """Outputs of the artifact in its own runtime."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{target.suffix}"
        session = target.load(target.build(network, (images[:1],), path))
        outputs = []
        for part in images.split(BATCH):
            outputs.append(session.run([part.numpy()])[0])
    return np.concatenate(outputs)


@contextlib.contextmanager
def artifacts(target: Target, network: Network, images: Data) -> Iterator[tuple[Path, Path]]:
    """All-int8 and fp32 files of a network."""
    with tempfile.TemporaryDirectory() as folder:
        coarse = Path(folder) / f"int8{target.suffix}"
        full = Path(folder) / f"fp32{target.suffix}"
        target.build(all_int8(target, network, images), network.example_inputs, coarse)
        target.build(fold(network.module), network.example_inputs, full)
        yield coarse, full


def all_int8(target: Target, network: Network, images: Data) -> fx.GraphModule:
    """A network with all layers at 8 bits."""
    calibration = images.calibration.normalized()[:CALIBRATION]
    policy = policies(network, mixtures=0)[ALL_INT8]
    return quantize(fold(network.module), policy, (calibration,), target.scheme)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command = tyro.cli(
        Annotated[Accuracy, tyro.conf.subcommand("accuracy")]
        | Annotated[Speed, tyro.conf.subcommand("speed")]
        | Annotated[Repeat, tyro.conf.subcommand("repeat")]
        | Annotated[Steer, tyro.conf.subcommand("steer")]
    )
    command.run()
