"""What a policy costs in nats, built as a search builds it, without any label."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sartor.compression import Compressor, fastest_dtype
from sartor.data import Images
from sartor.errors import RunError
from sartor.machine import digest, read_json, write_text
from sartor.policy import Policy
from sartor.scoring import Unlabelled
from sartor.tasks import CLASSIFICATION, Task

SCHEMA = 1

#: Images at most and at least, and the MACs that all of them may take together.
_MOST_IMAGES = 1024
_LEAST_IMAGES = 128
_MACS = _MOST_IMAGES * 126_000_000


class Probes:
    """Divergences of candidates from the original, on images that they were not refitted from.

    Ω (`measure`) masks one layer and leaves the others as they are. A probe builds the whole
    candidate, refitted: much of what a layer loses, the layers behind it mend, and how much they
    do is what no estimate at the layer itself can tell.

    Raises `RunError` if ``path`` holds probes of something else.

    >>> from torch import nn
    >>> from sartor.compression import CompressOptions
    >>> from sartor.graph import trace
    >>> generator = torch.Generator().manual_seed(0)
    >>> images = torch.randn(16, 3, 2, 2, generator=generator)
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> compressor = Compressor(trace(model, images[:1]), images, CompressOptions())
    >>> probes = Probes(compressor)
    >>> probes.divergence(Policy())
    0.0
    >>> probes.divergence(Policy(channels={"0": 0.5})) > 0
    True

    Args:
        compressor: Builds candidates. It must have calibration images, labels are not needed.
        task: How far outputs are from the original's.
        path: A file that keeps what was measured; it is not measured again.
    """

    def __init__(
        self, compressor: Compressor, task: Task = CLASSIFICATION, path: Path | None = None
    ) -> None:
        self.compressor = compressor
        self.task = task
        self.path = path

    def divergence(self, policy: Policy) -> float:
        """Mean divergence of a policy's candidate from the original, in nats for classes."""
        key = policy.to_json()
        if key not in self._known:
            candidate = self.compressor.candidate(policy)
            self._known[key] = self._held_out.distance(candidate, self.task.divergences)
            self._save()
        return self._known[key]

    @cached_property
    def _images(self) -> Tensor:
        """Those behind the images that refit, where there are enough; else all, refitted or not."""
        images = self.compressor.images
        assert images is not None
        fitting = _MACS // max(1, self.compressor.cost_model.original.macs)
        count = max(_LEAST_IMAGES, min(_MOST_IMAGES, fitting))

        unseen = images[self.compressor.options.images :]
        found = unseen if len(unseen) >= _LEAST_IMAGES else images
        return found[:count]

    @cached_property
    def _held_out(self) -> Unlabelled:
        module = self.compressor.network.module
        no_labels = torch.zeros(len(self._images), dtype=torch.long)
        images = Images(self._images, no_labels)
        return Unlabelled(images, module, self.task, fastest_dtype(module, (self._images,)))

    @cached_property
    def _identity(self) -> str:
        """Of all that divergences depend on but the policy."""
        compressor = self.compressor
        tensors = {**compressor.network.module.state_dict(), "images": self._images}
        return digest(tensors, compressor.options, compressor.scheme, compressor.seed)

    @cached_property
    def _known(self) -> dict[str, float]:
        """By the JSON of policies, which is the same for equal ones."""
        if self.path is None or not self.path.exists():
            return {}
        content = read_json(self.path, missing="", error=RunError)
        if content.get("schema") != SCHEMA or content.get("identity") != self._identity:
            raise RunError(
                f"{self.path} holds probes of another network, other images or another version; "
                "remove it or choose another folder"
            )
        return {str(key): float(value) for key, value in content["divergences"].items()}

    def _save(self) -> None:
        if self.path is not None:
            content = {
                "schema": SCHEMA,
                "identity": self._identity,
                "divergences": self._known,
            }
            write_text(self.path, json.dumps(content, indent=1) + "\n")
