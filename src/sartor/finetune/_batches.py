"""Batches of images held in memory, changed a little each time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

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
    """All images once, in an order drawn from ``generator``; a last batch that is not full is left out.

    ``labels`` are (images,) class numbers or, as ``mix`` needs them, (images, classes) shares.
    """
    order = torch.randperm(len(pixels), generator=generator)
    for start in range(0, max(1, len(order) - size + 1), size):
        chosen = order[start : start + size]
        images, shown = _augment(pixels[chosen], augment, generator), labels[chosen]
        yield _mixed(images, shown, generator) if "mix" in augment else (images, shown)


def _augment(
    images: Tensor, augment: Collection[Augmentation], generator: torch.Generator
) -> Tensor:
    if "mirror" in augment:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored.view(-1, *[1] * (images.dim() - 1)), images.flip(-1), images)
    if "shift" in augment and images.dim() == 4:
        images = _shifted(images, generator)
    return images


def _mixed(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every image with one other, the first with the last and so on; labels in the same share (mixup, Zhang et al. 2018)."""
    share = torch.rand(len(images), generator=generator)

    def mix(item: Tensor) -> Tensor:
        return torch.lerp(item.flip(0), item, share.view(-1, *[1] * (item.dim() - 1)))

    return mix(images), mix(labels)


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image by a distance of its own; what comes in from outside is 0."""
    height, width = images.shape[2:]
    reach = max(1, round(min(height, width) * _SHIFT))
    padded = torch.nn.functional.pad(images, (reach, reach, reach, reach))
    moves = torch.randint(0, 2 * reach + 1, (2, len(images)), generator=generator)
    rows = moves[0][:, None] + torch.arange(height)
    columns = moves[1][:, None] + torch.arange(width)
    picked = torch.arange(len(images))[:, None, None]
    return padded[picked, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
