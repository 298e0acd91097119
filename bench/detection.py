"""Detection: mAP of the original, of uniform and of what was found, before and after fine-tuning.

    python bench/detection.py scenes --out runs/scenes    # the whole network is searched
    python bench/imagenet.py --out runs/imagenet --shares 0.75 0.5
    python bench/detection.py blood --out runs/blood --bodies runs/imagenet

Scenes are of CIFAR-10's objects. Of blood cells (BCCD) bodies are EfficientNet-Lite0, compressed as
the classifier that it was; the head is trained on each of them with one recipe, first alone, then
with the body.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from safetensors.torch import load_model, save_model
from torch import nn

import sartor
from _blood import TASK as CELLS
from _blood import Body, blood, detector_on
from _cifar_scenes import TASK as OBJECTS
from _cifar_scenes import cifar_scenes, new_detector, train
from _common import SHARED, keep, kept, print_header, print_row, search_options
from sartor.compression import load_network
from sartor.data import Images
from sartor.finetune import FinetuneOptions, finetune
from sartor.graph import trace
from sartor.models import build_trained, known_preprocessing
from sartor.scoring import ImageScorer
from sartor.tasks import Task

_SHARES = (0.75, 0.5)


@dataclass(frozen=True)
class Scenes:
    """A detector of one stage, all of whose layers are searched.

    Attributes:
        out: Folder of the runs.
        steps: Of training the original.
        episodes: Of each search.
        epochs: Of each fine-tuning.
        seed: Fixes everything.
    """

    out: Path = Path("runs/scenes")
    steps: int = 1000
    episodes: int = 30
    epochs: int = 4
    seed: int = 0

    def run(self) -> None:
        """Run what is missing, print the table."""
        data = cifar_scenes()
        original = self._original(data)
        assert data.test is not None
        score = partial(_mean_precision, images=data.test, task=OBJECTS)
        keep(self.out / "0-original.json", lambda: _row("original", 1.0, score(original), None, 0))

        for share in _SHARES:
            for agent in ("uniform", "evolution"):
                name = f"{round(100 * share)}-{agent}"
                search = partial(self._searched, original, data, share, agent)
                keep(self.out / f"1-{name}.json", search)
        _print_table(kept(self.out))

    def _original(self, data: sartor.Data) -> nn.Module:
        file = self.out / "original.safetensors"
        network = new_detector(self.seed)
        if file.exists():
            load_model(network, file)
        else:
            train(network, data, self.steps, self.seed)
            self.out.mkdir(parents=True, exist_ok=True)
            save_model(network, str(file))
        return network

    def _recipe(self) -> FinetuneOptions:
        return FinetuneOptions(
            epochs=self.epochs,
            batch=32,
            learning_rate=0.002,
            ema=0.98,
            augment=("mirror",),
            seed=self.seed,
        )

    def _searched(
        self, original: nn.Module, data: sartor.Data, share: float, agent: str
    ) -> dict[str, Any]:
        started = time.perf_counter()
        options = search_options(agent, self.episodes, seed=self.seed)
        folder = self.out / f"{round(100 * share)}-{agent}"
        if not (folder / "result.json").exists():
            sartor.compress(
                original,
                data,
                task=OBJECTS,
                budget=f"macs<={share}",
                options=options,
                out=folder,
                progress=False,
            )
        run = sartor.Run(folder, model=original, data=data, task=OBJECTS)
        report = run.result
        assert report is not None
        tuned = run.finetune(self._recipe())
        assert tuned.test is not None
        return _row(
            agent,
            report.best.ratio.macs,
            tuned.test.before,
            tuned.test.after,
            time.perf_counter() - started,
        )


@dataclass(frozen=True)
class Blood:
    """Detectors on bodies that were compressed as classifiers.

    Attributes:
        out: Folder of the rows.
        bodies: Folder of the runs of imagenet.py.
        shared: Folder of the classifier and the photos.
        head: Epochs of the head alone.
        epochs: Of head and body together.
        seed: Fixes everything.
    """

    out: Path = Path("runs/blood")
    bodies: Path = Path("runs/imagenet")
    shared: Path = SHARED
    head: int = 20
    epochs: int = 6
    seed: int = 0

    def run(self) -> None:
        """Run what is missing, print the table."""
        keep(self.out / "0-original.json", partial(self._trained, "original"))
        for share in _SHARES:
            for who in ("uniform", "found"):
                name = f"macs-{round(100 * share)}-{who}"
                keep(self.out / f"1-{name}.json", partial(self._trained, name))
        _print_table(kept(self.out))

    def _trained(self, name: str) -> dict[str, Any]:
        started = time.perf_counter()
        weights = self.shared / "models/efficientnet_lite0-imagenet.safetensors"
        known = known_preprocessing("efficientnet_lite0", weights)
        data = blood(self.shared / "data/bccd", known.mean, known.std)
        assert data.test is not None

        original = build_trained(
            "efficientnet_lite0", weights, classes=1000, pixels=224, missing="no weights"
        )
        network = trace(original, torch.zeros(1, 3, 224, 224)).module
        share = 1.0
        if name != "original":
            folder = self.bodies / name
            network = load_network(folder, original)
            report = sartor.Run(folder).result
            assert report is not None
            share = report.best.ratio.macs

        detector = detector_on(Body(network), data.calibration, epochs=self.head, seed=self.seed)
        before = _mean_precision(detector, data.test, CELLS)
        traced = trace(detector, data.calibration.batch(slice(0, 2))).module
        options = FinetuneOptions(
            epochs=self.epochs,
            batch=8,
            learning_rate=0.001,
            ema=0.98,
            augment=("shift", "mirror"),
            seed=self.seed,
        )
        tuned = finetune(traced, data.calibration, data.validation, options=options, task=CELLS)
        after = _mean_precision(tuned.model, data.test, CELLS)
        return _row(name, share, before, after, time.perf_counter() - started)


def _mean_precision(network: nn.Module, images: Images, task: Task) -> float:
    traced = trace(network, images.batch(slice(0, 1))).module
    return ImageScorer(images, task=task).score(traced).accuracy


def _row(
    name: str, macs: float, before: float, after: float | None, seconds: float
) -> dict[str, Any]:
    return {"name": name, "macs": macs, "before": before, "after": after, "seconds": seconds}


def _print_table(rows: list[dict[str, Any]]) -> None:
    print_header("network", "MACs", "mAP before fine-tuning", "after", "seconds")
    for row in rows:
        after = "" if row["after"] is None else f"{100 * row['after']:.1f}"
        before = f"{100 * row['before']:.1f}"
        print_row(row["name"], f"{row['macs']:.3f}", before, after, f"{row['seconds']:.0f}")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"scenes": Scenes, "blood": Blood}).run()
