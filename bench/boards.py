"""A board over ssh beside the same runtime here: whether latencies agree, and what the way costs.

    python bench/boards.py agree --board ssh:HOST --models resnet20 resnet18 --times 10
    python bench/boards.py cost --board ssh:HOST --models resnet20 resnet18

The board is to be this machine, reached over its own sshd; then relative latencies must agree.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from _common import SHARED, print_header, print_row, subject
from sartor import targets
from sartor.compression import deployable, fold, quantize
from sartor.graph import Network, trace
from sartor.machine import Float32Array, FloatArray
from sartor.policy import Policy
from sartor.targets import Deployment, Target, TargetOptions

#: Images that ranges of activations are taken from, and that outputs are asked for.
_CALIBRATION = 128


@dataclass(frozen=True)
class Agree:
    """Relative latency of a network all in int8, here and on a board in turns.

    Attributes:
        board: As --target names it.
        models: Names of networks.
        times: Measurements of each on either.
        shared: Folder of trained networks and data.
    """

    board: str
    models: tuple[str, ...] = ("resnet20", "resnet18")
    times: int = 10
    shared: Path = SHARED

    def run(self) -> None:
        """Print each measurement, then medians of those that settled, and how many did."""
        print_header("network", "where", "relative", "interval", "settled", "original ms", "s")
        for model in self.models:
            network, candidate, _ = _networks(model, self.shared)
            found = self._measure(model, network, candidate)
            here = statistics.median(found["here"] or [math.nan])
            there = statistics.median(found["board"] or [math.nan])
            counts = f"{len(found['here'])} and {len(found['board'])} settled"
            print_row(model, counts, f"{here:.4f} {there:.4f}", f"{there / here - 1:+.2%}")

    def _measure(
        self, model: str, network: Network, candidate: torch.fx.GraphModule
    ) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"here": [], "board": []}
        with tempfile.TemporaryDirectory() as scratch:
            deployments = {}
            for where, target in _both(self.board).items():
                folder = Path(scratch) / where
                folder.mkdir()
                deployments[where] = Deployment.build(target, network, folder)

            for _ in range(self.times):
                for where, deployment in deployments.items():
                    started = time.perf_counter()
                    comparison = deployment.measure(candidate)
                    seconds = time.perf_counter() - started
                    if comparison.settled:
                        found[where].append(comparison.relative)
                    print_row(
                        model,
                        where,
                        f"{comparison.relative:.4f}",
                        f"{comparison.low:.3f} to {comparison.high:.3f}",
                        str(comparison.settled),
                        f"{1e3 * comparison.original.median_s:.3f}",
                        f"{seconds:.2f}",
                    )
        return found


@dataclass(frozen=True)
class Cost:
    """Seconds of what is done with each candidate, here and on a board.

    Attributes:
        board: As --target names it.
        models: Names of networks.
        times: Candidates, each of which is sent anew.
        images: Test images whose outputs are asked for; they are sent with the first.
        shared: Folder of trained networks and data.
    """

    board: str
    models: tuple[str, ...] = ("resnet20", "resnet18")
    times: int = 5
    images: int = 1000
    shared: Path = SHARED

    def run(self) -> None:
        """Print medians in seconds."""
        print_header("network", "MB", "where", "load", "again", "run", "run again", "one timed run")
        for model in self.models:
            network, candidate, pixels = _networks(model, self.shared)
            images = pixels[: self.images].numpy()
            for where, target in _both(self.board).items():
                rows = []
                for number in range(self.times):
                    _change(candidate, number)
                    with tempfile.TemporaryDirectory() as scratch:
                        path = Path(scratch) / "candidate.onnx"
                        target.build(deployable(candidate), network.example_inputs, path)
                        size = path.stat().st_size / 1e6
                        rows.append(_steps(target, path, images))
                medians = np.median(rows, axis=0)
                print_row(model, f"{size:.1f}", where, *(f"{item:.4f}" for item in medians))


def _steps(target: Target, artifact: Path, images: Float32Array) -> FloatArray:
    """Seconds of loading a file, loading it again, running images, again, and timing one run."""
    marks = [time.perf_counter()]
    session = target.load(artifact)
    marks.append(time.perf_counter())
    target.load(artifact)
    marks.append(time.perf_counter())
    session.run([images])
    marks.append(time.perf_counter())
    session.run([images])
    marks.append(time.perf_counter())
    session.seconds()
    marks.append(time.perf_counter())
    return np.diff(marks)


def _both(board: str) -> dict[str, Target]:
    options = TargetOptions(threads=1)
    return {"here": targets.make("onnxruntime", options), "board": targets.make(board, options)}


def _networks(model: str, shared: Path) -> tuple[Network, torch.fx.GraphModule, torch.Tensor]:
    """A network, the same with all of its layers in int8, and test images."""
    loaded, images = subject(model, calibration=_CALIBRATION, shared=shared)
    calibration = images.calibration.normalized()
    network = trace(loaded.eval(), calibration[:1])
    bits = dict.fromkeys([layer.name for layer in network.layers], 8)
    policy = Policy(weight_bits=bits, activation_bits=bits)
    scheme = targets.make("onnxruntime").scheme
    candidate = quantize(fold(network.module), policy, (calibration,), scheme)
    assert images.test is not None
    return network, candidate, images.test.batch(slice(0, 1000))


def _change(candidate: torch.fx.GraphModule, number: int) -> None:
    """Another network of the same shapes: what is sent is known by its content."""
    with torch.no_grad():
        next(parameter for parameter in candidate.parameters() if parameter.dim() == 1).add_(
            1e-3 * (number + 1)
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    command = tyro.cli(
        Annotated[Agree, tyro.conf.subcommand("agree")]
        | Annotated[Cost, tyro.conf.subcommand("cost")]
    )
    command.run()
