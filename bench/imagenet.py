"""EfficientNet-Lite0 on photos of ImageNet: from the search to a verified file, at 224 pixels.

    python bench/imagenet.py --out runs/imagenet            # searches, distils, verifies, prints
    python bench/imagenet.py --out runs/imagenet --table    # what has been run

Each row is a run of its own in OUT, so that all can be interrupted and taken up again. There are
three splits: policies and refitting see the 400 training photos without labels, rewards are of the
300 validation photos, the 300 test photos are looked at for the table alone. Distillation learns
from the original's answers to the training photos; labels have no weight.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from _common import SHARED, keep, kept, peak_bytes, print_header, print_row, search_options
from sartor.compression import CompressOptions
from sartor.data import Data, Images
from sartor.finetune import FinetuneOptions
from sartor.graph import trace
from sartor.models import InputOptions
from sartor.problem import Method
from sartor.runs import Run, RunConfig, SubjectSource
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
        rate: Largest learning rate of distillation.
        threads: Of PyTorch.
        seed: Fixes everything.
        table: Only print the table of what has been run.
    """

    out: Path = Path("runs/imagenet")
    shared: Path = SHARED
    shares: tuple[float, ...] = (0.7, 0.5)
    latency: float = 0.35
    episodes: int = 30
    epochs: int = 3
    rate: float = 0.00005
    threads: int = 2
    seed: int = 0
    table: bool = False

    def run(self) -> None:
        """Run what is missing, print the table."""
        if not self.table:
            for case in self.cases():
                for stage in (self.search, self.distil):
                    name = f"{case.name}-{stage.__name__}.json"
                    keep(self.out / name, partial(_apart, stage, case))
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

    def search(self, case: Case) -> dict[str, Any]:
        """A row: what was found."""
        torch.set_num_threads(self.threads)
        started = time.perf_counter()
        result = Run.of(self._config(case)).search(resume=True)
        seconds = time.perf_counter() - started
        peak = peak_bytes()

        data = result.subject.data
        assert data is not None
        assert data.test is not None
        original = trace(result.subject.model, data.validation.batch(slice(0, 1))).module
        return {
            "case": case.name,
            "stage": "found",
            "original": _on_both(original, original, data),
            "measured": _on_both(original, result.model, data),
            "macs": result.report.best.ratio.macs,
            "latency": asdict(result.report.best.latency) if result.report.best.latency else None,
            "seconds": seconds,
            "peak": peak,
        }

    def distil(self, case: Case) -> dict[str, Any]:
        """A row: the same after distillation, as a file that was verified."""
        torch.set_num_threads(self.threads)
        started = time.perf_counter()
        run = Run(self.out / case.name)
        run.finetune(self._distillation(), resume=True)
        run.export("onnx")
        verified = run.verify("onnx")
        assert verified.found.latency is not None
        seconds = time.perf_counter() - started
        peak = peak_bytes()

        weights, photos = self._files
        source = SubjectSource(MODEL, weights, str(photos), inputs=INPUTS)
        subject, data = source.load_both(calibration=1)
        original = trace(subject.model, data.validation.batch(slice(0, 1))).module
        return {
            "case": case.name,
            "stage": "distilled",
            "measured": _on_both(original, run.load(), data),
            "latency": asdict(verified.found.latency),
            "verified_accuracy": verified.found.accuracy,
            "faults": verified.faults,
            "seconds": seconds,
            "peak": peak,
        }

    @property
    def _files(self) -> tuple[Path, Path]:
        """The trained weights, and the photos."""
        weights = self.shared / "models/efficientnet_lite0-imagenet.safetensors"
        return weights, self.shared / "data/imagenet1000"

    def _config(self, case: Case) -> RunConfig:
        weights, photos = self._files
        options = search_options(
            case.agent,
            self.episodes,
            methods=case.methods,
            seed=self.seed,
            reward_images=300,
            target="onnxruntime" if case.budget.startswith("latency") else "",
            table=self.out / "latencies/layers.json" if "quantize" in case.methods else None,
            compress=CompressOptions(images=96),
        )
        return RunConfig(
            model=MODEL,
            weights=weights,
            data=str(photos),
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
            ema=0.98,
            augment=("mirror",),
            learning_rate=self.rate,
            seed=self.seed,
        )


def _apart(stage: Callable[[Case], dict[str, Any]], case: Case) -> dict[str, Any]:
    """A row in a process of its own, as commands are, so that its peak of memory is its own."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawning) as pool:
        return pool.submit(stage, case).result()


def _on_both(original: nn.Module, network: nn.Module, data: Data) -> dict[str, dict[str, float]]:
    """On the validation and the test photos."""
    assert data.test is not None
    return {
        "validation": compared(original, network, data.validation),
        "test": compared(original, network, data.test),
    }


@torch.no_grad()
def compared(original: nn.Module, network: nn.Module, images: Images) -> dict[str, float]:
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


def _print_table(rows: list[dict[str, Any]]) -> None:
    print_header(
        "run",
        "stage",
        "validation: top-1, agreement, divergence",
        "test: top-1, agreement, divergence",
        "MACs",
        "latency",
        "seconds",
        "peak, GB",
    )
    originals = [row["original"] for row in rows if "original" in row]
    for measured in originals[:1]:
        print_row("original", "", *_cells(measured), "1", "1", "", "")

    for row in rows:
        macs = f"{row['macs']:.3f}" if "macs" in row else ""
        print_row(
            row["case"],
            row["stage"],
            *_cells(row["measured"]),
            macs,
            _written(row["latency"]),
            f"{row['seconds']:.0f}",
            f"{row['peak'] / 2**30:.2f}",
        )


def _cells(measured: dict[str, dict[str, float]]) -> Iterator[str]:
    for split in ("validation", "test"):
        entry = measured[split]
        yield f"{entry['top1']:.1f}, {entry['agreement']:.1f}, {entry['divergence']:.3f}"


def _written(latency: dict[str, Any] | None) -> str:
    """Of the original's, with its interval."""
    if latency is None:
        return ""
    return f"{latency['relative']:.3f} ({latency['low']:.3f} – {latency['high']:.3f})"


if __name__ == "__main__":
    tyro.cli(Photos).run()
