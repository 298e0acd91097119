"""Rows of networks whose channels were chosen by a peer or by sartor.

No command of its own: peers.py imports it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, fx

from _common import search_options
from _peer_job import COMPARED
from _peer_rows import Cell, Rows
from _peers import FASTNAS, TORCH_PRUNING, Peer
from sartor.compression import holds_network, narrow
from sartor.machine import BoolArray
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
Choose = Callable[[], "Chosen"]


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


class Pruned(Rows):
    """Without labels; repaired networks are kept."""

    kind = "pruned"

    def rows(self) -> Iterator[tuple[str, Callable[[], Cell]]]:
        for name, choose in self._choices():
            yield name, partial(self._measure, name, choose)

    def network(self, name: str) -> Path:
        """Folder of what was repaired."""
        return self.options.out / "networks" / self.slug(name)

    def _choices(self) -> Iterator[tuple[str, Choose]]:
        """Who chooses channels."""
        for name, (peer, method) in PRUNERS.items():
            yield name, partial(self._of_peer, peer, method)
        for rule in RULES:
            yield f"sartor, {rule}", partial(self._of_rule, rule)
        for folder in self.options.runs:
            run = Run(folder)
            if (run.config.model, run.config.budget) == (self.bench.model, self._budget):
                yield f"sartor, {run.config.options.agent}", partial(self._of_run, run)

    @property
    def _budget(self) -> str:
        return f"macs<={100 * self.options.share:g}%"

    def _of_peer(self, peer: Peer, method: str) -> Chosen:
        """Raises `RefusedError`."""
        with tempfile.TemporaryDirectory() as scratch:
            job = self.job(method, Path(scratch))
            answer = self.ask(peer, job)
            given = load_file(job.network_file)
        kept = self.bench.kept(answer["kept"])
        tensors = {
            name.removeprefix("network."): value
            for name, value in given.items()
            if name.startswith("network.")
        }
        self._require_same(self.bench.filled(kept, tensors), given["outputs"])
        return Chosen(kept, answer["seconds"], answer["version"], tensors)

    @torch.no_grad()
    def _require_same(self, network: fx.GraphModule, outputs: Tensor) -> None:
        """That what was handed over computes here what it does there."""
        here = network(self.bench.calibration[:COMPARED])
        torch.testing.assert_close(here, outputs, rtol=1e-3, atol=1e-3)

    def _of_rule(self, rule: str) -> Chosen:
        options = search_options(rule, 1, seed=self.options.seed, repair="fit")
        result = compress(self.bench.module, self.bench.data, budget=self._budget, options=options)
        kept = result.compressor.kept(result.policy)
        return Chosen(kept, result.report.seconds, "sartor")

    def _of_run(self, run: Run) -> Chosen:
        report = run.require_result()
        kept = run.network.kept(self.bench.network)
        return Chosen(kept, report.seconds, f"sartor, {report.episodes} episodes")

    def _measure(self, name: str, choose: Choose) -> Cell:
        bench = self.bench
        chosen = choose()
        delivered = narrow(bench.network, chosen.kept)
        if chosen.tensors is not None:
            delivered = bench.filled(chosen.kept, chosen.tensors)
        found, repaired = bench.mend(chosen.kept, delivered, self.options.shown)
        found.seconds["chosen"] = chosen.seconds
        bench.save(self.network(name), chosen.kept, repaired)
        with tempfile.TemporaryDirectory() as scratch:
            artifact = bench.export(repaired, Path(scratch) / "repaired.onnx")
            deployed = bench.deployed(artifact)
        return {
            "version": chosen.version,
            "macs": bench.macs(chosen.kept),
            "shown": self.options.shown,
            "original": bench.original_score,
            "channels": dict(bench.policy(chosen.kept).channels),
            **vars(found),
            **deployed,
        }


class Trained(Rows):
    """With labels, from what was repaired."""

    kind = "trained"

    def rows(self) -> Iterator[tuple[str, Callable[[], Cell]]]:
        pruned = Pruned(self.options, self.bench)
        for name, _ in pruned.rows():
            folder = pruned.network(name)
            if self.options.epochs and holds_network(folder):
                yield name, partial(self._measure, folder)

    def slug(self, name: str) -> str:
        return f"{super().slug(name)}-{self.options.epochs}-epochs"

    def _measure(self, folder: Path) -> Cell:
        recipe = replace(self.options.recipe, epochs=self.options.epochs)
        return self.bench.train(folder, recipe)
