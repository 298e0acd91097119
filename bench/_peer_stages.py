"""What is left of a network when some channels are gone: sliced, mended, repaired, trained.

No command of its own: peers.py imports it. Whoever chose the channels, all goes through here.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from _common import SHARED, subject
from sartor import targets
from sartor.compression import (
    CompressOptions,
    Compressor,
    Origin,
    block_outputs,
    keep_safe_groups,
    load_network,
    narrow,
    save_network,
)
from sartor.compression._batchnorm import reestimate
from sartor.compression.modules import trainable_copy
from sartor.cost import CostModel
from sartor.data import Data
from sartor.export import export
from sartor.finetune import FinetuneOptions, finetune
from sartor.graph import Network, trace
from sartor.machine import CPU, BoolArray, reproducible
from sartor.policy import Policy
from sartor.repair import RepairOptions, repair
from sartor.scoring import ImageScorer
from sartor.targets import SURE

#: All labelled images that networks are trained on, and are repaired with, without their labels.
POOL = 45_000


@dataclass
class Measured:
    """What was measured of one network, stage by stage.

    Attributes:
        accuracy: Top-1 on validation and test images, in percent.
        seconds: What each stage took.
    """

    accuracy: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Keep the seconds of a stage."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - started


class Bench:
    """An original, its images, and what candidates of it go through.

    Args:
        model: Name of the network.
        shared: Folder of networks and data.
        images: Calibration images that are chosen, refitted and re-estimated with.
        seed: Fixes everything.
    """

    def __init__(self, model: str, shared: Path = SHARED, images: int = 2048, seed: int = 0):
        self.model = model
        self.shared = shared
        self.images = images
        self.seed = seed

    @cached_property
    def _subject(self) -> tuple[torch.nn.Module, Data]:
        return subject(self.model, calibration=POOL, seed=self.seed, shared=self.shared)

    @property
    def module(self) -> torch.nn.Module:
        """The original as it was built."""
        return self._subject[0]

    @property
    def data(self) -> Data:
        """Its images."""
        return self._subject[1]

    @cached_property
    def network(self) -> Network:
        """The original, traced."""
        image = self.data.validation.batch(slice(0, 1))
        return keep_safe_groups(trace(self.module, image))

    @cached_property
    def calibration(self) -> Tensor:
        """Normalised images."""
        return self.data.calibration.slice(0, self.images).normalized()

    @cached_property
    def _compressor(self) -> Compressor:
        options = CompressOptions(final_images=self.images)
        return Compressor(self.network, self.calibration, options, self.seed)

    def whole_layers(self) -> tuple[str, ...]:
        """Layers whose channels others share, or nobody may remove."""
        alone = {group.producers[0] for group in self.network.groups if len(group.producers) == 1}
        return tuple(layer.name for layer in self.network.layers if layer.name not in alone)

    def kept(self, channels: dict[str, list[int]]) -> BoolArray:
        """A flag for every unit, given the channels that some layers keep."""
        found = np.ones(self.network.units, dtype=np.bool_)
        for layer, staying in channels.items():
            units = self.network.group_by_name[layer].units
            found[units] = False
            found[units[staying]] = True
        return found

    def policy(self, kept: BoolArray) -> Policy:
        """How much each group keeps."""
        return Policy({group.name: kept[group.units].mean() for group in self.network.groups})

    def macs(self, kept: BoolArray) -> float:
        """As a share of the original's."""
        costs = CostModel(self.network)
        return costs.cost(self.policy(kept)).macs / costs.original.macs

    def filled(self, kept: BoolArray, tensors: dict[str, Tensor]) -> fx.GraphModule:
        """The network of a peer in our graph, with the peer's own weights."""
        candidate = trainable_copy(narrow(self.network, kept))
        # Tracing has tensors of its own, such as where channels of a shortcut stand.
        candidate.load_state_dict({**candidate.state_dict(), **tensors})
        return candidate

    @cached_property
    def original_score(self) -> list[float]:
        """Top-1 of the original."""
        return self.score(self.network.module)

    def score(self, candidate: fx.GraphModule) -> list[float]:
        """Top-1 on validation and test images, in percent."""
        assert self.data.test is not None
        return [
            100 * ImageScorer(images, dtype=torch.float32).score(candidate).accuracy
            for images in (self.data.validation, self.data.test)
        ]

    def mend(
        self, kept: BoolArray, delivered: fx.GraphModule, shown: int
    ) -> tuple[Measured, fx.GraphModule]:
        """Everything without labels: what was measured, and the repaired network."""
        found = Measured()
        found.accuracy["pruned"] = self.score(delivered)

        candidate = trainable_copy(narrow(self.network, kept))
        with found.timing("batch norms"):
            reestimate(candidate, (self.calibration,))
        found.accuracy["batch norms"] = self.score(candidate)

        candidate = narrow(self.network, kept)
        refitter = self._compressor.final_refitter
        assert refitter is not None
        with found.timing("refitted"):
            refitter.refit(candidate, kept, everywhere=True)
        found.accuracy["refitted"] = self.score(candidate)

        with found.timing("repaired"), reproducible(CPU):
            repaired = repair(
                candidate,
                self.network.module,
                self.data.calibration,
                RepairOptions(shown=shown, seed=self.seed),
                blocks=block_outputs(self.network, kept),
            )
        found.accuracy["repaired"] = self.score(repaired.model)
        return found, repaired.model

    def save(self, folder: Path, kept: BoolArray, candidate: fx.GraphModule) -> None:
        """Keep a network for training."""
        save_network(
            folder,
            self.network,
            candidate,
            self.policy(kept),
            kept=kept,
            origin=Origin(self.model, classes=10, pixels=32),
        )

    def train(self, folder: Path, options: FinetuneOptions) -> dict[str, Any]:
        """With labels, as ``sartor finetune`` trains: what the JSON file holds of it."""
        found = Measured()
        candidate = load_network(folder, self.module)
        with found.timing("trained"), reproducible(CPU):
            tuned = finetune(
                candidate,
                self.data.calibration,
                self.data.validation,
                teacher=self.network.module,
                options=replace(options, seed=self.seed),
                device="cpu",
                checkpoint=folder / f"{options.epochs}-epochs.checkpoint",
            )
        found.accuracy["trained"] = self.score(tuned.model)
        recipe = asdict(options)
        return {"recipe": recipe, "epochs": options.epochs, "members": tuned.members, **vars(found)}

    def export(self, candidate: fx.GraphModule, path: Path) -> Path:
        """An ONNX file for any number of images."""
        return export(candidate, self.network.example_inputs, path, "onnx")

    def deployed(self, artifact: Path) -> dict[str, Any]:
        """Of an ONNX file: bytes, and latency in onnxruntime beside the original, one image."""
        target = targets.make("onnxruntime")
        with tempfile.TemporaryDirectory() as folder:
            original = self.export(self.network.module, Path(folder) / "original.onnx")
            compared = target.compare(target.load(artifact), target.load(original), SURE)
        return {
            "bytes": artifact.stat().st_size,
            "latency": [compared.relative, compared.low, compared.high],
            "milliseconds": 1e3 * compared.candidate.median_s,
        }
