"""Batches of images held in memory, changed a little each time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.finetune._options import Augmentation

#: Images are shifted by up to this share of their side.
_SHIFT = 1 / 8


def batches(
    pixels: Tensor,
    labels: Tensor,
    *,
    size: int,
    augment: Collection[Augmentation],
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once, in an order drawn from ``generator``; a last batch not full is left out.

    ``pixels`` are (images, channels, height, width) and ``labels`` (images,) class numbers or, as
    ``mix`` needs them, (images, classes) shares. Fewer images than one batch are one batch.
    """
    order = torch.randperm(len(pixels), generator=generator)
    for start in range(0, max(1, len(order) - size + 1), size):
        chosen = order[start : start + size]
        images = pixels[chosen]
        shown = labels[chosen]
        if "mirror" in augment:
            images = _mirrored(images, generator)
        if "shift" in augment and images.dim() == 4:
            images = _shifted(images, generator)
        if "mix" in augment:
            share = torch.rand(len(images), generator=generator)
            images = _mixed(images, share)
            shown = _mixed(shown, share)
        yield images, shown


def _mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every other image, drawn at random, from left to right."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(_along(chosen, images), images.flip(-1), images)


def _mixed(items: Tensor, share: Tensor) -> Tensor:
    """Every item with one other, the first with the last and so on (mixup, Zhang et al. 2018)."""
    return torch.lerp(items.flip(0), items, _along(share, items))


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image by a distance of its own; what comes in from outside is 0."""
    count = len(images)
    height, width = images.shape[2:]
    reach = max(1, round(min(height, width) * _SHIFT))
    padded = F.pad(images, (reach, reach, reach, reach))

    down, right = torch.randint(0, 2 * reach + 1, (2, count), generator=generator)
    rows = down[:, None] + torch.arange(height)
    columns = right[:, None] + torch.arange(width)
    numbers = torch.arange(count)[:, None, None]
    # channels, which no index follows, come last
    picked = padded[numbers, :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


def _along(values: Tensor, items: Tensor) -> Tensor:
    """One value for each item, in a shape that broadcasts with the items."""
    return values.view(-1, *[1] * (items.dim() - 1))
