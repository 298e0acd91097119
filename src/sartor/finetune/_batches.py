"""Batches of images, changed a little each time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.data import Images
from sartor.tasks import CLASSIFICATION, Augmentation, Task

#: Images are shifted by up to this share of their side.
_SHIFT = 1 / 8

_ALL = slice(None)


def batches(
    images: Images,
    labels: Tensor,
    *,
    size: int,
    augment: Collection[Augmentation],
    task: Task = CLASSIFICATION,
    generator: torch.Generator,
    share: slice = _ALL,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once, in an order drawn from ``generator``; a last batch not full is left out.

    ``images`` are normalised when they are drawn, so that they may lie on disk. ``labels``,
    (images, …), are in their order and move as the ``task`` says: numbers that can be averaged
    where ``mix`` needs that. Of several processes each has a ``share``. Fewer images than one batch
    are one batch. All is drawn on the CPU, and so is the same wherever the images are.
    """
    numbers = torch.arange(len(labels))[share]
    order = numbers[torch.randperm(len(numbers), generator=generator)]
    # One past the last place that a whole batch may start at; a batch that is alone starts at 0.
    end = max(1, len(order) - size + 1)
    for start in range(0, end, size):
        chosen = order[start : start + size]
        changed, shown = _moved(images.batch(chosen), labels[chosen], augment, task, generator)
        if "mix" in augment:
            weight = torch.rand(len(changed), generator=generator).to(changed.device)
            changed = _mixed(changed, weight)
            shown = _mixed(shown, weight.to(shown.device))
        yield changed, shown


def _moved(
    images: Tensor,
    labels: Tensor,
    augment: Collection[Augmentation],
    task: Task,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Images and labels after the changes that labels follow without being averaged."""
    if "mirror" in augment:
        drawn = torch.rand(len(images), generator=generator)
        chosen = drawn < 0.5
        turned = task.mirrored(labels, images.shape[-1])
        images = _where(chosen, images.flip(-1), images)
        labels = _where(chosen, turned, labels)

    # Other data than images has no height and width to shift along.
    if "shift" in augment and images.dim() == 4:
        down, right = _distances(images, generator)
        images = _shifted(images, down, right)
        height, width = images.shape[2:]
        place = labels.device
        labels = task.shifted(labels, down.to(place), right.to(place), (height, width))
    return images, labels


def _where(chosen: Tensor, changed: Tensor, items: Tensor) -> Tensor:
    """What is changed of the chosen items, (images,)."""
    return torch.where(_along(chosen.to(items.device), items), changed, items)


def _distances(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """How far each image moves down and to the right, in pixels."""
    reach = _reach(images)
    # Drawn is where the picture begins in the padded image; at `reach` it is not shifted.
    places = 2 * reach + 1
    begins = torch.randint(0, places, (2, len(images)), generator=generator)
    down, right = (reach - begins).to(images.device)
    return down, right


def _reach(images: Tensor) -> int:
    height, width = images.shape[2:]
    shorter = min(height, width)
    return max(1, round(shorter * _SHIFT))


def _mixed(items: Tensor, share: Tensor) -> Tensor:
    """Every item with one other, the first with the last and so on (mixup, Zhang et al. 2018)."""
    others = items.flip(0)
    return torch.lerp(others, items, _along(share, items))


def _shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Every image by a distance of its own; what comes in from outside is 0."""
    count = len(images)
    height, width = images.shape[2:]
    reach = _reach(images)
    padded = F.pad(images, (reach, reach, reach, reach))

    device = images.device
    rows = reach - down[:, None] + torch.arange(height, device=device)
    columns = reach - right[:, None] + torch.arange(width, device=device)
    numbers = torch.arange(count, device=device)

    # One gather for all images: indices (images, 1, 1), (images, height, 1), (images, 1, width).
    picked = padded[
        numbers[:, None, None],
        :,
        rows[:, :, None],
        columns[:, None, :],
    ]
    # Channels, which no index follows, came last.
    channels_second = picked.permute(0, 3, 1, 2)
    return channels_second.contiguous()


def _along(values: Tensor, items: Tensor) -> Tensor:
    """One value for each item, in a shape that broadcasts with the items."""
    ones = [1] * (items.dim() - 1)
    return values.view(-1, *ones)
