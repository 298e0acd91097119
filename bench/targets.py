"""What targets do to real networks: accuracy beside the simulation, speed of int8, and how far repeated measurements agree.

python bench/targets.py accuracy --models resnet20 resnet56 resnet18
python bench/targets.py speed --models resnet20 resnet18
python bench/targets.py repeat --model resnet20 --times 10 --minutes 10
python bench/targets.py steer --model resnet20 --times 50
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, fx

from _common import subject
from sartor import targets
from sartor.compression import fold, quantize
from sartor.data import Data
from sartor.graph import Network, trace
from sartor.policy import Policy
from sartor.targets import SURE, Deployment, Target

BATCH = 250


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of int8 networks on the test rows: simulated, and in each runtime."""

    models: tuple[str, ...] = ("resnet20", "resnet56", "resnet18")
    targets: tuple[str, ...] = ("onnxruntime", "openvino")
    mixtures: int = 2
    """Random mixtures of fp32 and int8 layers beside all-int8."""

    def run(self) -> None:
        """Print a table."""
        print(
            "| network | policy | simulated |",
            " | ".join(f"{name} (difference)" for name in self.targets),
            "|",
        )
        print("|---|---|---|" + "---|" * len(self.targets))
        for model in self.models:
            network, images = traced(model)
            assert images.test is not None
            calibration, test = images.calibration.normalized(), images.test.normalized()
            labels = images.test.labels.numpy()
            for name, policy in policies(network, self.mixtures).items():
                candidate = quantize(
                    fold(network.module),
                    policy,
                    (calibration[:128],),
                    targets.make("onnxruntime").scheme,
                )
                with torch.no_grad():
                    outputs = [
                        candidate(test[start : start + BATCH]).numpy()
                        for start in range(0, len(test), BATCH)
                    ]
                simulated = 100 * float((np.concatenate(outputs).argmax(1) == labels).mean())
                cells = [
                    100 * accuracy(targets.make(target), candidate, test, labels)
                    for target in self.targets
                ]
                row = " | ".join(f"{cell:.2f} ({cell - simulated:+.2f})" for cell in cells)
                print(f"| {model} | {name} | {simulated:.2f} | {row} |", flush=True)


@dataclass(frozen=True)
class Speed:
    """All-int8 against fp32, one thread, batch of one, measured in turns."""

    models: tuple[str, ...] = ("resnet20", "resnet18")
    targets: tuple[str, ...] = ("onnxruntime", "openvino")

    def run(self) -> None:
        """Print a table."""
        print(
            "| network | target | fp32, ms | int8, ms | fp32 ÷ int8 | interval |\n|---|---|---|---|---|---|"
        )
        for model in self.models:
            network, images = traced(model)
            for name in self.targets:
                target = targets.make(name)
                with artifacts(target, network, images) as (candidate, original):
                    found = target.compare(target.load(candidate), target.load(original), SURE)
                print(
                    f"| {model} | {target.describe().runtime} | {1e3 * found.original.median_s:.3f} | "
                    f"{1e3 * found.candidate.median_s:.3f} | {1 / found.relative:.2f} | "
                    f"{1 / found.high:.2f} – {1 / found.low:.2f} |",
                    flush=True,
                )


@dataclass(frozen=True)
class Repeat:
    """The same comparison again and again while another process keeps a core busy."""

    model: str = "resnet20"
    target: str = "onnxruntime"
    times: int = 10
    minutes: float = 10.0

    def run(self) -> None:
        """Print every relative latency and (max − min) / median."""
        network, images = traced(self.model)
        target = targets.make(self.target)
        found = []
        with _busy_core(), artifacts(target, network, images) as (candidate, original):
            started = time.perf_counter()
            for index in range(self.times):
                due = started + index * 60 * self.minutes / max(1, self.times - 1)
                time.sleep(max(0.0, due - time.perf_counter()))
                found.append(
                    target.compare(target.load(candidate), target.load(original), SURE).relative
                )
                print(f"after {time.perf_counter() - started:5.0f} s: {found[-1]:.4f}", flush=True)
        print(
            f"(max − min) / median = {100 * (max(found) - min(found)) / statistics.median(found):.2f} %"
        )


@dataclass(frozen=True)
class Steer:
    """The same candidate, all int8, as a search measures it, again and again while another process keeps a core busy."""

    model: str = "resnet20"
    target: str = "onnxruntime"
    times: int = 50

    def run(self) -> None:
        """Print percentiles of the relative latency, of those that settled and of all, and seconds a measurement."""
        network, images = traced(self.model)
        target = targets.make(self.target)
        candidate = all_int8(target, network, images)
        with tempfile.TemporaryDirectory() as folder, _busy_core():
            deployment = Deployment.build(target, network, Path(folder))
            deployment.original_s()
            found, seconds = [], []
            for _ in range(self.times):
                started = time.perf_counter()
                found.append(deployment.measure(candidate))
                seconds.append(time.perf_counter() - started)
        settled = [comparison.relative for comparison in found if comparison.settled]
        print(
            "| | number | 5 % | median | 95 % | standard deviation ÷ median |\n|---|---|---|---|---|---|"
        )
        for name, values in (
            ("settled", settled),
            ("all", [comparison.relative for comparison in found]),
        ):
            low, middle, high = np.percentile(values, [5, 50, 95])
            print(
                f"| {name} | {len(values)} | {low:.3f} | {middle:.3f} | {high:.3f} | {100 * np.std(values) / middle:.1f} % |"
            )
        print(
            f"seconds a measurement: median {np.median(seconds):.2f}, mean {np.mean(seconds):.2f}"
        )


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
    net, images = subject(model, calibration=256)
    return trace(net, images.calibration.normalized()[:1]), images


def policies(network: Network, mixtures: int) -> dict[str, Policy]:
    """All layers at 8 bits, and random mixtures."""
    names = [layer.name for layer in network.layers]
    rng = np.random.default_rng(0)
    chosen = {"all int8": names}
    for index in range(mixtures):
        chosen[f"mixture {index + 1}"] = [name for name in names if rng.uniform() < 0.6]
    return {
        name: Policy(weight_bits=dict.fromkeys(layers, 8), activation_bits=dict.fromkeys(layers, 8))
        for name, layers in chosen.items()
    }


def accuracy(target: Target, network: fx.GraphModule, images: Tensor, labels: np.ndarray) -> float:
    """Of the artifact in its own runtime."""
    with tempfile.TemporaryDirectory() as folder:
        session = target.load(
            target.build(network, (images[:1],), Path(folder) / f"model{target.suffix}")
        )
        outputs = [
            session.run([images[start : start + BATCH].numpy()])[0]
            for start in range(0, len(images), BATCH)
        ]
    return float((np.concatenate(outputs).argmax(1) == labels).mean())


@contextlib.contextmanager
def artifacts(target: Target, network: Network, images: Data) -> Iterator[tuple[Path, Path]]:
    """All-int8 and fp32 files of a network."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}{target.suffix}" for name in ("int8", "fp32")]
        for path, net in zip(
            paths, (all_int8(target, network, images), fold(network.module)), strict=True
        ):
            target.build(net, network.example_inputs, path)
        yield paths[0], paths[1]


def all_int8(target: Target, network: Network, images: Data) -> fx.GraphModule:
    """A network with all layers at 8 bits."""
    calibration = images.calibration.normalized()[:128]
    return quantize(
        fold(network.module), policies(network, 0)["all int8"], (calibration,), target.scheme
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    command = tyro.cli(
        Annotated[Accuracy, tyro.conf.subcommand("accuracy")]
        | Annotated[Speed, tyro.conf.subcommand("speed")]
        | Annotated[Repeat, tyro.conf.subcommand("repeat")]
        | Annotated[Steer, tyro.conf.subcommand("steer")]
    )
    command.run()
