"""Scenes of CIFAR-10's objects with boxes around them, and a detector of one stage.

No command of its own: detection.py imports it. Objects of the training and the validation rows are
apart, so that no split has the objects of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _common import SHARED, minimise, subject
from sartor.data import Data, Images
from sartor.tasks import Detection

PIXELS = 64
TASK = Detection(stride=4, size=32.0)
CLASSES = 10
#: Objects of a scene, at most, and their sides in pixels.
_MOST = 3
_SIDES = (20, 38)
_TRIES = 10


def scenes(objects: Images, count: int, seed: int) -> Images:
    """So many scenes; labels are (scenes, 3, 5) as `Detection` wants them."""
    generator = torch.Generator().manual_seed(seed)
    made = [_scene(objects, generator) for _ in range(count)]
    pixels, labels = zip(*made, strict=True)
    return Images(torch.stack(pixels), torch.stack(labels), objects.mean, objects.std)


def cifar_scenes(train: int = 2000, held_out: int = 300) -> Data:
    """Scenes for training, and for validation and test of rows that no network was trained on."""
    _, objects = subject("resnet20", calibration=6000, shared=SHARED)
    assert objects.test is not None
    return Data(
        scenes(objects.calibration, train, seed=1),
        scenes(objects.validation, held_out, seed=2),
        scenes(objects.test, held_out, seed=3),
    )


class Detector(nn.Module):
    """A trained ResNet-20 without its classifier, and a map of centres and boxes."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        parts = dict(classifier.named_children())
        self.conv1 = parts["conv1"]
        self.bn1 = parts["bn1"]
        self.body = nn.Sequential(*(parts[f"layer{number}"] for number in (1, 2, 3)))
        self.head = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, CLASSES + 4, 1),
        )
        # So that hardly any cell is taken for a centre at first.
        last = cast("nn.Conv2d", self.head[-1])
        assert last.bias is not None
        nn.init.constant_(last.bias[:CLASSES], -3.0)

    def forward(self, x: Tensor) -> Tensor:
        """Images (count, 3, 64, 64) to maps (count, 14, 16, 16)."""
        return self.head(self.body(F.relu(self.bn1(self.conv1(x)))))


def new_detector(seed: int = 0) -> Detector:
    """A detector on the trained classifier, with a head that is yet to be trained."""
    torch.manual_seed(seed)
    classifier, _ = subject("resnet20", calibration=1, shared=SHARED)
    return Detector(classifier).requires_grad_(True).eval()


def train(network: Detector, data: Data, steps: int, seed: int = 0) -> None:
    """So many steps of AdamW on batches of 16 scenes."""
    generator = torch.Generator().manual_seed(seed)

    def loss(_: int) -> Tensor:
        chosen = torch.randint(len(data.calibration), (16,), generator=generator)
        maps = network(data.calibration.batch(chosen))
        return TASK.loss((maps,), data.calibration.labels[chosen])

    minimise(network, steps, loss)


@dataclass(frozen=True)
class _Square:
    """Where an object lies."""

    x: int
    y: int
    side: int

    def touches(self, other: _Square) -> bool:
        apart_across = self.x + self.side <= other.x or other.x + other.side <= self.x
        apart_along = self.y + self.side <= other.y or other.y + other.side <= self.y
        return not (apart_across or apart_along)


def _scene(objects: Images, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    picture = _texture(objects, generator)
    labels = torch.full((_MOST, 5), -1.0)
    taken: list[_Square] = []

    for _ in range(_drawn(1, _MOST + 1, generator)):
        square = _free_square(taken, generator)
        if square is None:
            continue
        number = _drawn(0, len(objects), generator)
        _paste(picture, objects.pixels[number], square)
        corners = (square.x, square.y, square.x + square.side, square.y + square.side)
        labels[len(taken)] = torch.tensor([*corners, float(objects.labels[number])])
        taken.append(square)

    return picture.round().clamp(0, 255).to(torch.uint8), labels


def _texture(objects: Images, generator: torch.Generator) -> Tensor:
    """Rows and columns of an enlarged image in disorder: its colours, none of its shapes."""
    number = _drawn(0, len(objects), generator)
    large = _resized(objects.pixels[number], PIXELS)
    rows = torch.randperm(PIXELS, generator=generator)
    columns = torch.randperm(PIXELS, generator=generator)
    mean = large.mean((1, 2), keepdim=True)
    return 0.3 * large[:, rows][:, :, columns] + 0.7 * mean


def _free_square(taken: list[_Square], generator: torch.Generator) -> _Square | None:
    for _ in range(_TRIES):
        side = _drawn(*_SIDES, generator)
        square = _Square(
            x=_drawn(0, PIXELS - side, generator),
            y=_drawn(0, PIXELS - side, generator),
            side=side,
        )
        if not any(square.touches(other) for other in taken):
            return square
    return None


def _paste(picture: Tensor, pixels: Tensor, square: _Square) -> None:
    """Blend an object in, its corners away."""
    side = square.side
    line = (torch.arange(side) - side / 2 + 0.5) / (side / 2)
    radius = (line[:, None].square() + line.square()).sqrt()
    opaque = ((1.15 - radius) * 6).clamp(0, 1)
    place = picture[:, square.y : square.y + side, square.x : square.x + side]
    place.lerp_(_resized(pixels, side), opaque)


def _resized(pixels: Tensor, side: int) -> Tensor:
    enlarged = F.interpolate(
        pixels[None].float(), (side, side), mode="bicubic", align_corners=False, antialias=True
    )
    return enlarged[0].clamp(0, 255)


def _drawn(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator))
