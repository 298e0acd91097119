"""What is learned from: images and their labels, batch after batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sartor.data import Images
from sartor.finetune._batches import batches
from sartor.finetune._options import FinetuneOptions
from sartor.machine import channels_last, room_for_inputs
from sartor.tasks import CLASSIFICATION, Augmentation, Outputs, Task


@dataclass(frozen=True, eq=False)
class Lessons:
    """Training images, and how they and their labels are shown.

    Attributes:
        images: Training images.
        labels: (images, …), as the training loss wants them.
        moved_as: The task whose labels these are when images are moved.
        augment: What is done to images.
        size: Images of a batch.
    """

    images: Images
    labels: Tensor
    moved_as: Task
    augment: tuple[Augmentation, ...]
    size: int

    @classmethod
    def with_labels(
        cls, images: Images, outputs: Outputs, options: FinetuneOptions, task: Task
    ) -> Lessons:
        """Lessons with the images' own labels.

        Raises `DataError` for labels that do not suit the task, `UsageError` for ``outputs`` of the
        network that do not and for augmentations that labels cannot follow.
        """
        task.require(outputs, images.labels)
        augment = options.augmentations(task)
        labels = images.labels
        if "mix" in augment:
            labels = task.soft_labels(outputs, labels)
        return cls(images, labels, task, augment, options.batch)

    @classmethod
    def without_labels(cls, images: Images, options: FinetuneOptions, task: Task) -> Lessons:
        """Lessons of a teacher alone: whatever is done to images, no labels have to follow."""
        augment = options.augment
        if augment is None:
            augment = options.augmentations(task)
        nobodys = torch.zeros(len(images))
        return cls(images, nobodys, CLASSIFICATION, augment, options.batch)

    def to(self, device: torch.device) -> Lessons:
        """The same on a device, if there is room."""
        if self.images.pixels.nbytes > room_for_inputs(device):
            return self
        return dataclasses.replace(
            self,
            images=self.images.to(device),
            labels=self.labels.to(device),
        )

    def batches(
        self, generator: torch.Generator, share: slice, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels on the device, pass after pass without an end.

        Of several processes each has a ``share`` of the images.
        """
        while True:
            drawn = batches(
                self.images,
                self.labels,
                share=share,
                size=self.size,
                augment=self.augment,
                task=self.moved_as,
                generator=generator,
            )
            for images, labels in drawn:
                yield channels_last(images.to(device)), labels.to(device)
