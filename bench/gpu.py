"""Latency in PyTorch, eager and compiled, on the CPU and on a GPU, at half the MACs.

Each network with random weights, beside itself with the same share of channels kept in all
groups, in multiples of 8. It needs no data, and prints a Markdown table; a row that cannot be
measured says why.

    python bench/gpu.py                       # on all devices that are here
    python bench/gpu.py --devices cpu --networks resnet56 --batches 1
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import fx

from sartor import models, targets
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor, deployable, fold, keep_safe_groups
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Multiples, Problem, SearchSpace
from sartor.targets import Patience, Target, TargetOptions, of_batch

_SHARE = 0.5
#: Of the seconds that there are, at most so many are spent on compiling.
_BUILDING = 0.6
_PATIENCE = Patience(tolerance=0.02, limit_s=3.0, warm_up=2)
_HEADINGS = (
    "network",
    "target",
    "device",
    "images at once",
    "MACs left",
    "original (ms)",
    "pruned (ms)",
    "of the original's latency",
    "built in (s)",
)


@dataclass(frozen=True)
class Row:
    """What is measured: a network on a target."""

    network: str
    target: str
    options: TargetOptions

    def make(self) -> Target:
        """The target."""
        return targets.make(self.target, self.options)

    @property
    def words(self) -> tuple[object, ...]:
        """The first cells of its line."""
        return self.network, self.target, self.options.device, self.options.batch


@dataclass(frozen=True)
class Built:
    """Artifacts of a row: the original, the pruned network, and what is left of its MACs."""

    original: Path
    pruned: Path
    macs: float
    seconds: float


def main() -> None:
    arguments = _arguments()
    ends = time.monotonic() + arguments.limit
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {', '.join(map(_described, arguments.devices))}\n")
    print_row(*_HEADINGS)
    print("|" + "---|" * len(_HEADINGS))

    # compiled side by side, for that takes longer than measuring; measured one after the other
    context = multiprocessing.get_context("spawn")
    rows = list(_rows(arguments))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(arguments.processes, mp_context=context) as pool,
    ):
        builds: list[tuple[Row, Future[Built]]] = []
        for number, row in enumerate(rows):
            place = Path(folder) / str(number)
            place.mkdir()
            builds.append((row, pool.submit(build, row, place)))

        # none is measured while others are compiled beside it
        left = ends - time.monotonic()
        wait([pending for _, pending in builds], timeout=_BUILDING * left)
        pool.shutdown(wait=False, cancel_futures=True)
        for row, pending in builds:
            print_row(*row.words, *_cells(row, pending, ends))


def build(row: Row, folder: Path) -> Built:
    """Both networks of a row, as files, in a process of its own."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    torch.manual_seed(0)
    model = models.build(row.network).eval()
    pixels = models.default_pixels(row.network)
    network = keep_safe_groups(trace(model, torch.zeros(1, 3, pixels, pixels)))

    compressor = Compressor(network, None, CompressOptions(), 0)
    policy, macs = _uniform(compressor)
    candidate = compressor.candidate(policy)

    target = row.make()
    inputs = of_batch(network.example_inputs, target.batch)
    found: list[Path] = []
    graphs: list[fx.GraphModule] = [fold(network.module), deployable(candidate)]
    for name, graph in zip(("original", "pruned"), graphs, strict=True):
        path = target.build(graph, inputs, folder / f"{name}{target.suffix}")
        found.append(path)
    original, pruned = found
    return Built(original, pruned, macs, time.perf_counter() - started)


def _uniform(compressor: Compressor) -> tuple[Policy, float]:
    """The policy that keeps the largest share of all groups under half the MACs, and its MACs."""
    cost_model = compressor.cost_model
    space = SearchSpace(min_keep=0.1, multiple=Multiples(8))
    problem = Problem.of(cost_model, Budget(()), space)
    for kept in np.arange(1.0, 0.1, -0.01):
        ratios = np.full(len(problem), kept)
        policy = problem.policy(problem.execute(ratios))
        cost = cost_model.cost(policy)
        macs = cost.ratio(cost_model.original)["macs"]
        if macs <= _SHARE:
            return policy, macs
    raise RuntimeError("no share of channels leaves half the MACs")


def _cells(row: Row, pending: Future[Built], ends: float) -> tuple[str, ...]:
    """What was measured, or the sentence that says why nothing was."""
    try:
        if time.monotonic() > ends:
            return ("not measured: out of time", *[""] * 4)
        if not pending.done():
            return ("not measured: it took too long to compile", *[""] * 4)
        built = pending.result()
        target = row.make()
        pruned = target.load(built.pruned)
        original = target.load(built.original)
        found = target.compare(pruned, original, _PATIENCE)
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        return (f"{type(error).__name__}: {said[:300].replace('|', '/')}", *[""] * 4)

    return (
        f"{100 * built.macs:.1f} %",
        f"{1e3 * found.original.median_s:.3f}",
        f"{1e3 * found.candidate.median_s:.3f}",
        f"{found.relative:.3f} ({found.low:.3f} to {found.high:.3f})",
        f"{built.seconds:.0f}",
    )


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Networks first: the same stand together."""
    chosen = product(
        arguments.networks,
        arguments.targets,
        arguments.devices,
        arguments.batches,
    )
    for network, target, device, batch in chosen:
        options = TargetOptions(arguments.threads, batch, device, arguments.precision)
        yield Row(network, target, options)


def _described(device: str) -> str:
    try:
        return targets.make("torch", TargetOptions(device=device)).describe().device
    except Exception as error:
        return f"{device}: {error}"


def print_row(*cells: object) -> None:
    """At once: what was measured stays, whatever comes after it."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def _arguments() -> argparse.Namespace:
    here = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    networks = ["resnet56", "efficientnet_lite0", "mobilenet_v2"]
    cores = os.cpu_count() or 1

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", nargs="+", default=here)
    parser.add_argument("--targets", nargs="+", default=["torch", "inductor"])
    parser.add_argument("--networks", nargs="+", default=networks)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 50])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=cores, help="of PyTorch on the CPU")
    parser.add_argument("--processes", type=int, default=cores, help="that compile")
    parser.add_argument("--limit", type=float, default=170.0, help="seconds for all of it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
