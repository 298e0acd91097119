"""sartor beside its peers: the same networks, images, budget, repair and training.

    python bench/peers.py --models resnet20 resnet56 --runs RUN_OF_RESNET20 RUN_OF_RESNET56
    python bench/peers.py --models resnet56 --epochs 2 --only uniform 'group norm' evolution
    python bench/peers.py --table

Peers choose channels in environments of their own (`_peers.py`), made from PyPI. Whoever chose
them, a network is sliced; its batch norms are estimated anew; its layers are refitted; it is
repaired; it is trained (`_peer_stages.py`). So what a choice is worth stands apart from what is
mended afterwards, which no peer does. Peers that round to int8 do so to the original's ONNX file.

Every cell is one JSON file: what was interrupted goes on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from safetensors.torch import load_file, save_file
from torch import Tensor, fx

from _common import SHARED, accuracy, keep, kept, search_options, weights_of
from _peer_job import COMPARED, Job
from _peer_stages import Bench
from _peer_tables import print_tables
from _peers import FASTNAS, NNCF, ONNXRUNTIME, TORCH_PRUNING, Peer, RefusedError
from sartor import targets
from sartor.compression import fold, narrow, quantize
from sartor.data import Images
from sartor.finetune import FinetuneOptions
from sartor.machine import BoolArray
from sartor.policy import Policy
from sartor.runs import Run, compress

#: Rows of peers that prune, by the peer and its method.
PRUNERS = {
    **{
        f"Torch-Pruning, {score}, {reach}": (TORCH_PRUNING, f"{score}, {reach}")
        for score in ("magnitude", "taylor", "group norm")
        for reach in ("local", "global")
    },
    "ModelOpt, FastNAS": (FASTNAS, "fastnas"),
}
#: Rows of sartor's rules, which search nothing.
RULES = ("uniform", "knapsack")
#: Rows of peers that round.
QUANTIZERS = {
    "NNCF": (NNCF, "default"),
    "onnxruntime, MinMax": (ONNXRUNTIME, "MinMax"),
    "onnxruntime, Percentile": (ONNXRUNTIME, "Percentile"),
}
BATCH = 250


@dataclass(frozen=True)
class Chosen:
    """Which channels somebody chose to keep.

    Attributes:
        kept: A flag for every unit.
        seconds: What choosing took.
        version: Who chose.
        tensors: Those of the network as a peer hands it over; of sartor's sliced original if None.
    """

    kept: BoolArray
    seconds: float
    version: str
    tensors: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Arguments:
    """Comparison of peers.

    Attributes:
        models: Names of networks.
        share: MACs that may be left, as a share of the original's.
        runs: Folders of searches of these networks for this share, for sartor's row.
        out: Folder of the JSON files and of the networks.
        environments: Folder of the peers' environments.
        shared: Folder of networks and data.
        images: Calibration images to choose and to refit with; with labels where a peer needs them.
        scored: Validation images that FastNAS scores by.
        rounded: Calibration images that ranges of activations are taken from.
        shown: Images of a repair.
        epochs: Of training with labels; 0 for none.
        recipe: How all are trained; its epochs are those above.
        only: Rows whose names have one of these in them; all if not given.
        seed: Fixes everything.
        threads: Of PyTorch.
        table: Only print the tables of what has been run.
    """

    models: tuple[str, ...] = ("resnet20",)
    share: float = 0.5
    runs: tuple[Path, ...] = ()
    out: Path = Path("runs/peers")
    environments: Path = Path("runs/environments")
    shared: Path = SHARED
    images: int = 2048
    scored: int = 1000
    rounded: int = 300
    shown: int = 16_384
    epochs: int = 0
    recipe: FinetuneOptions = field(
        default_factory=lambda: FinetuneOptions(distill=0.9, learning_rate=0.02, precision="bf16")
    )
    only: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 1
    table: bool = False


def main() -> None:
    """Run what is missing, print the tables."""
    arguments = tyro.cli(Arguments)
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        for model in arguments.models:
            Comparison(arguments, model).run()
    print_tables(kept(arguments.out))


class Comparison:
    """All rows of one network."""

    def __init__(self, arguments: Arguments, model: str) -> None:
        self._arguments = arguments
        self._model = model
        self._bench = Bench(model, arguments.shared, arguments.images, arguments.seed)

    def run(self) -> None:
        """What is missing."""
        for name, choose in self._choices():
            if not self._is_wanted(name):
                continue
            keep(self._file(name), partial(self._prune, name, choose))
            if self._arguments.epochs and self._network(name).exists():
                trained = self._file(f"{name} {self._arguments.epochs} epochs")
                keep(trained, partial(self._train, name))
        for name, write in self._rounded():
            if self._is_wanted(name):
                keep(self._file(f"int8 {name}"), partial(self._round, name, write))

    def _is_wanted(self, name: str) -> bool:
        only = self._arguments.only
        return not only or any(part in name for part in only)

    def _file(self, name: str) -> Path:
        return self._arguments.out / f"{self._slug(name)}.json"

    def _network(self, name: str) -> Path:
        """Folder of what was repaired."""
        return self._arguments.out / "networks" / self._slug(name)

    def _slug(self, name: str) -> str:
        words = name.lower().replace(",", "").replace(" ", "-")
        return f"{self._model}-{100 * self._arguments.share:g}-{words}"

    def _cell(self, kind: str, name: str, **found: Any) -> dict[str, Any]:
        share = self._arguments.share
        return {"kind": kind, "model": self._model, "share": share, "name": name, **found}

    def _choices(self) -> Iterator[tuple[str, Callable[[], Chosen]]]:
        """Who chooses channels."""
        for name, (peer, method) in PRUNERS.items():
            yield name, partial(self._of_peer, peer, method)
        for rule in RULES:
            yield f"sartor, {rule}", partial(self._of_rule, rule)
        for folder in self._arguments.runs:
            run = Run(folder)
            if (run.config.model, run.config.budget) == (self._model, self._budget):
                yield f"sartor, {run.config.options.agent}", partial(self._of_run, run)

    @property
    def _budget(self) -> str:
        return f"macs<={100 * self._arguments.share:g}%"

    def _of_peer(self, peer: Peer, method: str) -> Chosen:
        """Raises `RefusedError`."""
        with tempfile.TemporaryDirectory() as scratch:
            job = self._job(method, Path(scratch))
            answer = self._ask(peer, job)
            given = load_file(job.network_file)
        kept = self._bench.kept(answer["kept"])
        tensors = {
            name.removeprefix("network."): value
            for name, value in given.items()
            if name.startswith("network.")
        }
        self._require_same(self._bench.filled(kept, tensors), given["outputs"])
        return Chosen(kept, answer["seconds"], answer["version"], tensors)

    @torch.no_grad()
    def _require_same(self, network: fx.GraphModule, outputs: Tensor) -> None:
        """That what was handed over computes here what it does there."""
        here = network(self._bench.calibration[:COMPARED])
        torch.testing.assert_close(here, outputs, rtol=1e-3, atol=1e-3)

    def _of_rule(self, rule: str) -> Chosen:
        options = search_options(rule, 1, seed=self._arguments.seed, repair="fit")
        result = compress(
            self._bench.module, self._bench.data, budget=self._budget, options=options
        )
        kept = result.compressor.kept(result.policy)
        return Chosen(kept, result.report.seconds, "sartor")

    def _of_run(self, run: Run) -> Chosen:
        report = run.require_result()
        kept = run.network.kept(self._bench.network)
        return Chosen(kept, report.seconds, f"sartor, {report.episodes} episodes")

    def _prune(self, name: str, choose: Callable[[], Chosen]) -> dict[str, Any]:
        """The cell of a pruned network, without labels; the network is kept."""
        try:
            chosen = choose()
        except RefusedError as refusal:
            return self._cell("pruned", name, refused=str(refusal))

        bench = self._bench
        delivered = narrow(bench.network, chosen.kept)
        if chosen.tensors is not None:
            delivered = bench.filled(chosen.kept, chosen.tensors)
        found, repaired = bench.mend(chosen.kept, delivered, self._arguments.shown)
        found.seconds["chosen"] = chosen.seconds
        bench.save(self._network(name), chosen.kept, repaired)
        with tempfile.TemporaryDirectory() as scratch:
            artifact = bench.export(repaired, Path(scratch) / "repaired.onnx")
            deployed = bench.deployed(artifact)
        return self._cell(
            "pruned",
            name,
            version=chosen.version,
            macs=bench.macs(chosen.kept),
            shown=self._arguments.shown,
            original=bench.original_score,
            channels=dict(bench.policy(chosen.kept).channels),
            **vars(found),
            **deployed,
        )

    def _train(self, name: str) -> dict[str, Any]:
        """The cell of a network that was trained with labels."""
        recipe = replace(self._arguments.recipe, epochs=self._arguments.epochs)
        return self._cell("trained", name, **self._bench.train(self._network(name), recipe))

    def _rounded(self) -> Iterator[tuple[str, Callable[[Path], tuple[float, str]]]]:
        """Who writes an ONNX file, of what precision."""
        yield "original, fp32", self._write_original
        yield "sartor, int8", self._write_int8
        for name, (peer, method) in QUANTIZERS.items():
            yield name, partial(self._write_by, peer, method)

    def _round(self, name: str, write: Callable[[Path], tuple[float, str]]) -> dict[str, Any]:
        """The cell of an ONNX file."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "network.onnx"
            try:
                seconds, version = write(path)
            except RefusedError as refusal:
                return self._cell("rounded", name, refused=str(refusal))
            data = self._bench.data
            assert data.test is not None
            found = [run_accuracy(path, images) for images in (data.validation, data.test)]
            deployed = self._bench.deployed(path)
        return self._cell(
            "rounded", name, version=version, seconds=seconds, accuracy=found, **deployed
        )

    def _write_original(self, path: Path) -> tuple[float, str]:
        network = self._bench.network
        started = time.perf_counter()
        self._bench.export(network.module, path)
        return time.perf_counter() - started, "sartor"

    def _write_int8(self, path: Path) -> tuple[float, str]:
        network = self._bench.network
        bits = dict.fromkeys([layer.name for layer in network.layers], 8)
        policy = Policy(weight_bits=bits, activation_bits=bits)
        scheme = targets.make("onnxruntime").scheme
        images = self._bench.calibration[: self._arguments.rounded]
        started = time.perf_counter()
        rounded = quantize(fold(network.module), policy, (images,), scheme)
        self._bench.export(rounded, path)
        return time.perf_counter() - started, "sartor"

    def _write_by(self, peer: Peer, method: str, path: Path) -> tuple[float, str]:
        """Raises `RefusedError`."""
        with tempfile.TemporaryDirectory() as scratch:
            job = self._job(method, Path(scratch), self._arguments.rounded)
            answer = self._ask(peer, job)
            shutil.copy(job.onnx_file, path)
        return answer["seconds"], answer["version"]

    def _ask(self, peer: Peer, job: Job) -> dict[str, Any]:
        return peer.ask(job, self._arguments.environments, self._arguments.threads)

    def _job(self, method: str, folder: Path, images: int | None = None) -> Job:
        """What a peer needs, in a folder."""
        data = self._bench.data
        count = images or self._arguments.images
        scored = data.validation.slice(0, self._arguments.scored)
        file = folder / "images.safetensors"
        tensors = {
            "calibration": self._bench.calibration[:count],
            "calibration_labels": data.calibration.labels[:count],
            "validation": scored.normalized(),
            "validation_labels": scored.labels,
        }
        save_file({name: value.contiguous() for name, value in tensors.items()}, file)
        original = self._bench.export(self._bench.network.module, folder / "original.onnx")
        return Job(
            method=method,
            model=self._model,
            weights=str(weights_of(self._model, self._arguments.shared).absolute()),
            onnx=str(original),
            images=str(file),
            folder=str(folder),
            share=self._arguments.share,
            whole=self._bench.whole_layers(),
        )


def run_accuracy(artifact: Path, images: Images) -> float:
    """Top-1 of an ONNX file in onnxruntime, in percent."""
    session = targets.make("onnxruntime").load(artifact)
    outputs = [session.run([part.numpy()])[0] for part in images.normalized().split(BATCH)]
    return accuracy(np.concatenate(outputs), images.labels.numpy())


if __name__ == "__main__":
    main()
