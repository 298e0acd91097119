"""How far networks are from an original on images without labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from sartor.compression import device_of, fold, is_quantized, on_device
from sartor.data import Images
from sartor.machine import reproducible
from sartor.scoring._inputs import pass_size
from sartor.tasks import Outputs, Task

#: Images of a forward pass at most.
_BATCH = 128

#: How far outputs are from the original's: for each image, (images,), or their mean.
Distance = Callable[[Outputs, Outputs], Tensor]


class Unlabelled:
    """Images without labels, and what the original answers to them.

    Attributes:
        images: Whose labels are not looked at.
        original: Traced, where networks are looked at.
        task: What of the outputs counts.
        dtype: What networks compute in, unless they are quantized; outputs are made fp32.
    """

    def __init__(
        self,
        images: Images,
        original: fx.GraphModule,
        task: Task,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.images = images
        self.original = original
        self.task = task
        self.dtype = dtype

    def distance(self, network: fx.GraphModule, measure: Distance) -> float:
        """Mean over the images of what ``measure`` says of a network's outputs and the original's.

        >>> import torch
        >>> from sartor.graph import trace
        >>> from sartor.tasks import CLASSIFICATION
        >>> images = Images(torch.rand(4, 3, 1, 1), torch.zeros(4, dtype=torch.long))
        >>> original = trace(nn.Flatten(), images.pixels).module
        >>> unlabelled = Unlabelled(images, original, CLASSIFICATION)
        >>> unlabelled.distance(original, CLASSIFICATION.divergences)
        0.0
        """
        total = 0.0
        for answer, wanted in zip(self._answers_of(network), self._wanted, strict=True):
            found = measure(answer, wanted)
            total += float(found.mean()) * len(answer[0])
        return total / len(self.images)

    @cached_property
    def _wanted(self) -> list[Outputs]:
        return self._answers_of(self.original)

    @torch.no_grad()
    def _answers_of(self, network: fx.GraphModule) -> list[Outputs]:
        """Outputs of a network, part by part of the images."""
        device = device_of(self.original)
        there = on_device(network, device)
        is_exact = is_quantized(there)
        forward: nn.Module = there if is_exact else fold(there, self.dtype)
        step = pass_size(self.images, _BATCH)

        found = []
        with reproducible(device):
            for start in range(0, len(self.images), step):
                images = self.images.batch(slice(start, start + step), device)
                if images.is_floating_point() and not is_exact:
                    images = images.to(self.dtype)
                outputs = self.task.outputs(forward(images))
                found.append(tuple(item.float() for item in outputs))
        return found
