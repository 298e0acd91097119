"""EfficientNet-Lite0 on photos of ImageNet: from the search to a verified file, at 224 pixels.

    python bench/imagenet.py --out runs/imagenet            # searches, distils, verifies, prints
    python bench/imagenet.py --out runs/imagenet --table    # what has been run

Each row is a run of its own in OUT, so that all can be interrupted and taken up again. There are
three splits: policies and refitting see the 400 training photos without labels, rewards are of the
300 validation photos, the 300 test photos are looked at for the table alone. Distillation learns
from the original's answers to the training photos; labels have no weight.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from _common import SHARED, keep, kept, print_header, print_row
from sartor.compression import CompressOptions
from sartor.data import Images
from sartor.finetune import FinetuneOptions
from sartor.graph import trace
from sartor.models import InputOptions
from sartor.pipeline import SearchOptions
from sartor.problem import Method
from sartor.runs import Run, RunConfig
from sartor.tasks import divergences, first_tensor

MODEL = "efficientnet_lite0"
#: Its mean and standard deviation stand in the file of its weights.
INPUTS = InputOptions(resize=(256,), crop=(224,), interpolation="bicubic")
_BATCH = 50


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: Of its folder.
        budget: What may be used.
        agent: Who decides; a rule needs one episode.
        methods: What is searched.
    """

    name: str
    budget: str
    agent: str
    methods: tuple[Method, ...] = ("prune",)


@dataclass(frozen=True)
class Photos:
    """Every case, then the table.

    Attributes:
        out: Folder of the runs.
        shared: Folder of the network and the photos.
        shares: Bounds on MACs, as shares of the original's.
        latency: Bound on latency in onnxruntime, of the original's, for channels and bits together.
        episodes: Of each search.
        epochs: Of distillation.
        threads: Of PyTorch.
        seed: Fixes everything.
        table: Only print the table of what has been run.
    """

    out: Path = Path("runs/imagenet")
    shared: Path = SHARED
    shares: tuple[float, ...] = (0.7, 0.5)
    latency: float = 0.35
    episodes: int = 40
    epochs: int = 10
    threads: int = 2
    seed: int = 0
    table: bool = False

    def run(self) -> None:
        """Run what is missing, print the table."""
        torch.set_num_threads(self.threads)
        if not self.table:
            for case in self.cases():
                keep(self.out / f"{case.name}.json", partial(self._run, case))
        _print_table(kept(self.out))

    def cases(self) -> Iterator[Case]:
        """Uniform beside found for every budget."""
        for share in self.shares:
            percent = round(100 * share)
            budget = f"macs<={percent}%"
            yield Case(f"macs-{percent}-uniform", budget, "uniform")
            yield Case(f"macs-{percent}-found", budget, "evolution")

        both: tuple[Method, ...] = ("prune", "quantize")
        budget = f"latency<={self.latency}"
        yield Case("latency-uniform", budget, "uniform", both)
        yield Case("latency-found", budget, "evolution", both)

    def _run(self, case: Case) -> dict[str, Any]:
        """The JSON file of one row."""
        started = time.perf_counter()
        run = Run.of(self._config(case))
        result = run.search(resume=True)
        seconds = time.perf_counter() - started
        peak = _peak_bytes()

        data = result.subject.data
        assert data is not None
        assert data.test is not None
        original = trace(result.subject.model, data.validation.batch(slice(0, 1))).module
        found = self._measured(original, result.model, data.validation, data.test)

        trained_from = time.perf_counter()
        run.finetune(self._distillation(), resume=True)
        tuned = self._measured(original, run.load(), data.validation, data.test)
        run.export("onnx")
        verified = run.verify("onnx")

        return {
            "case": case.name,
            "budget": case.budget,
            "original": self._measured(original, original, data.validation, data.test),
            "found": found,
            "distilled": tuned,
            "ratio": asdict(result.report.best.ratio),
            "verified": asdict(verified.found.latency),
            "verified_accuracy": verified.found.accuracy,
            "faults": verified.faults,
            "seconds_search": seconds,
            "seconds_distil": time.perf_counter() - trained_from,
            "peak_search": peak,
            "peak_distil": _peak_bytes(),
        }

    def _config(self, case: Case) -> RunConfig:
        rule = case.agent == "uniform"
        options = SearchOptions(
            agent=case.agent,
            methods=case.methods,
            episodes=1 if rule else self.episodes,
            seed=self.seed,
            seed_with=() if rule else SearchOptions.seed_with,
            baselines=(),
            reward_images=300,
            finalists=4,
            target="onnxruntime" if case.budget.startswith("latency") else "",
            table=self.out / "latency-table.json" if "quantize" in case.methods else None,
            compress=CompressOptions(images=96, final_images=400),
        )
        return RunConfig(
            model=MODEL,
            weights=self.shared / "models/efficientnet_lite0-imagenet.safetensors",
            data=str(self.shared / "data/imagenet1000"),
            inputs=INPUTS,
            budget=case.budget,
            out=self.out / case.name,
            threads=self.threads,
            options=options,
        )

    def _distillation(self) -> FinetuneOptions:
        return FinetuneOptions(
            epochs=self.epochs,
            batch=8,
            distill=1.0,
            temperature=1.0,
            ema=0.9,
            augment=("mirror",),
            seed=self.seed,
        )

    def _measured(
        self, original: nn.Module, network: nn.Module, validation: Images, test: Images
    ) -> dict[str, dict[str, float]]:
        return {
            "validation": _compared(original, network, validation),
            "test": _compared(original, network, test),
        }


def _peak_bytes() -> int:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@torch.no_grad()
def _compared(original: nn.Module, network: nn.Module, images: Images) -> dict[str, float]:
    """Top-1 and agreement with the original in percent, divergence in nats."""
    right = 0.0
    agreeing = 0.0
    distance = 0.0
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        inputs = images.batch(part)
        mine = first_tensor(network(inputs))
        theirs = first_tensor(original(inputs))

        answers = mine.argmax(1)
        right += float((answers == images.labels[part]).sum())
        agreeing += float((answers == theirs.argmax(1)).sum())
        distance += float(divergences(mine, theirs).sum())

    count = len(images)
    return {
        "top1": 100 * right / count,
        "agreement": 100 * agreeing / count,
        "divergence": distance / count,
    }


def _print_table(runs: list[dict[str, Any]]) -> None:
    print_header(
        "run",
        "stage",
        "validation: top-1, agreement, divergence",
        "test: top-1, agreement, divergence",
        "MACs",
        "latency of the file",
        "seconds",
        "peak, GB",
    )
    for run in runs:
        for stage in ("original", "found", "distilled"):
            measured = run[stage]
            cells = [_cell(measured["validation"]), _cell(measured["test"])]
            print_row(run["case"], stage, *cells, *_costs(run, stage))


def _cell(entry: dict[str, float]) -> str:
    return f"{entry['top1']:.1f}, {entry['agreement']:.1f}, {entry['divergence']:.3f}"


def _costs(run: dict[str, Any], stage: str) -> Iterator[str]:
    if stage == "original":
        yield from ("1", "1", "", "")
        return

    yield f"{run['ratio']['macs']:.3f}"
    if stage == "found":
        yield from ("", f"{run['seconds_search']:.0f}", f"{run['peak_search'] / 2**30:.2f}")
        return
    latency = run["verified"]
    yield f"{latency['relative']:.3f} ({latency['low']:.3f} – {latency['high']:.3f})"
    yield f"{run['seconds_distil']:.0f}"
    yield f"{run['peak_distil'] / 2**30:.2f}"


if __name__ == "__main__":
    tyro.cli(Photos).run()
