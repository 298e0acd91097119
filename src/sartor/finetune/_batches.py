"""Batches of images, changed a little each time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.data import Images
from sartor.finetune._options import Augmentation

#: Images are shifted by up to this share of their side.
_SHIFT = 1 / 8

_ALL = slice(None)


def batches(
    images: Images,
    labels: Tensor,
    *,
    size: int,
    augment: Collection[Augmentation],
    generator: torch.Generator,
    share: slice = _ALL,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once, in an order drawn from ``generator``; a last batch not full is left out.

    ``images`` are normalised when they are drawn, so that they may lie on disk. ``labels``,
    (images, …), are in their order: numbers that can be averaged where ``mix`` needs that. Of
    several processes each has a ``share``. Fewer images than one batch are one batch. All is drawn
    on the CPU, and so is the same wherever the images are.
    """
    numbers = torch.arange(len(labels))[share]
    order = numbers[torch.randperm(len(numbers), generator=generator)]
    # One past the last place that a whole batch may start at; a batch that is alone starts at 0.
    end = max(1, len(order) - size + 1)
    for start in range(0, end, size):
        chosen = order[start : start + size]
        changed = _moved(images.batch(chosen), augment, generator)
        shown = labels[chosen]

        if "mix" in augment:
            weight = torch.rand(len(changed), generator=generator).to(changed.device)
            changed = _mixed(changed, weight)
            shown = _mixed(shown, weight.to(shown.device))
        yield changed, shown


def _moved(images: Tensor, augment: Collection[Augmentation], generator: torch.Generator) -> Tensor:
    """Images after the changes that leave their labels as they are."""
    if "mirror" in augment:
        images = _mirrored(images, generator)
    # Other data than images has no height and width to shift along.
    if "shift" in augment and images.dim() == 4:
        images = _shifted(images, generator)
    return images


def _mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every other image, drawn at random, from left to right."""
    drawn = torch.rand(len(images), generator=generator)
    chosen = (drawn < 0.5).to(images.device)
    mirrored = images.flip(-1)
    return torch.where(_along(chosen, images), mirrored, images)


def _mixed(items: Tensor, share: Tensor) -> Tensor:
    """Every item with one other, the first with the last and so on (mixup, Zhang et al. 2018)."""
    others = items.flip(0)
    return torch.lerp(others, items, _along(share, items))


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image by a distance of its own; what comes in from outside is 0."""
    count = len(images)
    height, width = images.shape[2:]
    shorter = min(height, width)
    reach = max(1, round(shorter * _SHIFT))
    padded = F.pad(images, (reach, reach, reach, reach))

    # Where the picture begins in the padded image; at `reach` it is not shifted.
    places = 2 * reach + 1
    device = images.device
    drawn = torch.randint(0, places, (2, count), generator=generator)
    down, right = drawn.to(device)
    rows = down[:, None] + torch.arange(height, device=device)
    columns = right[:, None] + torch.arange(width, device=device)
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
