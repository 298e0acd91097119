"""Images that nothing is learned from, by which a repair is judged."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import fx, nn

from sartor.compression import device_of, fold, is_quantized, on_device
from sartor.data import Images
from sartor.machine import reproducible
from sartor.scoring import pass_size
from sartor.tasks import Outputs, Task

#: Images of a forward pass at most.
_BATCH = 128


class HeldOut:
    """How far networks are from the original on images that were held out.

    The distance is the one that is learned, softened as there: on images that a network was
    trained on its answers are all but certain, and the divergence from them as they are is that of
    a few images.

    Args:
        images: Whose labels are not looked at.
        original: Traced, where networks are looked at.
        task: What of the outputs counts.
        temperature: Softens outputs that are class scores.
    """

    def __init__(
        self, images: Images, original: fx.GraphModule, task: Task, temperature: float
    ) -> None:
        self._images = images
        self._original = original
        self._task = task
        self._temperature = temperature
        self._device = device_of(original)
        self._batch = pass_size(images, _BATCH)

    def distance(self, network: fx.GraphModule) -> float:
        """Mean over the images, 0 at best."""
        total = 0.0
        answers = zip(self._answers_of(network), self._wanted, strict=True)
        for answer, wanted in answers:
            found = self._task.distillation(answer, wanted, self._temperature)
            total += float(found) * len(answer[0])
        return total / len(self._images)

    @cached_property
    def _wanted(self) -> list[Outputs]:
        return self._answers_of(self._original)

    @torch.no_grad()
    def _answers_of(self, network: fx.GraphModule) -> list[Outputs]:
        """Outputs of a network in fp32, part by part of the images."""
        there = on_device(network, self._device)
        forward: nn.Module = there if is_quantized(there) else fold(there)
        found = []
        with reproducible(self._device):
            for start in range(0, len(self._images), self._batch):
                numbers = slice(start, start + self._batch)
                images = self._images.batch(numbers, self._device)
                outputs = self._task.outputs(forward(images))
                found.append(tuple(item.float() for item in outputs))
        return found
