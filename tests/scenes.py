"""Networks for every task, trained here in seconds on scenes composed of scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sartor
from sartor.data import Data, Images
from sartor.tasks import Task, as_task

#: Numbers of scenes of a split, and seeds, so that no split has the digits or places of another.
TRAIN, VALIDATION, TEST = 512, 200, 200

#: From digits (count, 1, 8, 8), their classes and a generator to one scene and its label.
Scene = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """A task with a network and scenes for it."""

    task: Task
    network: nn.Module
    data: Data

    def train(self, steps: int, batch: int = 32, rate: float = 1e-2) -> Case:
        """Train the network with the loss of the task; the same case."""
        pixels, labels = self.data.calibration.normalized(), self.data.calibration.labels
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        self.network.train()
        for _ in range(steps):
            chosen = torch.randint(len(pixels), (batch,), generator=generator)
            outputs = self.task.outputs(self.network(pixels[chosen]))
            loss = self.task.loss(outputs, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.network.eval()
        return self


def segmentation(steps: int) -> Case:
    """Every pixel of two digits has the class of its digit, counted from 1; 0 is the background."""
    return _case("segmentation", lambda: SmallUNet(11), _map_of_classes).train(steps)


def multi_label(steps: int) -> Case:
    """Which digits there are, of two beside each other."""
    return _case("multi-label", lambda: Heads(10), _pair).train(steps)


def regression(steps: int) -> Case:
    """Where the one digit is, from 0 to 1, as two heads that give a number each."""
    return _case("regression", Position, _position).train(steps)


def detection(steps: int) -> Case:
    """Boxes around one to three digits."""
    case = _case(sartor.tasks.Detection(stride=4, size=8.0), lambda: CentreMap(10), _boxes)
    return case.train(steps)


def embedding(steps: int) -> Case:
    """Directions of digits, learned by telling digits apart."""
    classes = _case("classification", Classifier, _one_digit).train(steps)
    assert isinstance(classes.network, Classifier)
    return Case(as_task("embedding"), classes.network.body, classes.data)


CASES = {
    "segmentation": segmentation,
    "multi-label": multi_label,
    "regression": regression,
    "detection": detection,
    "embedding": embedding,
}


def _case(task: str | Task, build: Callable[[], nn.Module], scene: Scene) -> Case:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
    digits = sartor.data.load("digits", calibration=1000)
    assert digits.test is not None
    data = Data(
        _scenes(digits.calibration, TRAIN, 1, scene),
        _scenes(digits.validation, VALIDATION, 2, scene),
        _scenes(digits.test, TEST, 3, scene),
    )
    return Case(as_task(task), network, data)


def _scenes(digits: Images, count: int, seed: int, scene: Scene) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = digits.normalized()
    made = []
    for _ in range(count):
        chosen = torch.randint(len(pixels), (3,), generator=generator)
        made.append(scene(pixels[chosen], digits.labels[chosen], generator))
    images, labels = zip(*made, strict=True)
    return Images(torch.stack(images), torch.stack(labels))


def _whole(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator))


def _map_of_classes(digits: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    image = torch.zeros(1, 16, 24)
    labels = torch.zeros(16, 24, dtype=torch.long)
    for place in range(2):
        row, column = _whole(0, 9, rng), 12 * place + _whole(0, 5, rng)
        digit = digits[place]
        image[:, row : row + 8, column : column + 8] = digit
        ink = digit[0] / digit.max()
        # What is neither ink nor paper does not count.
        named = torch.where(ink > 0.4, classes[place] + 1, torch.where(ink > 0.1, 255, 0))
        labels[row : row + 8, column : column + 8] = named
    return image, labels


def _pair(digits: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    image = torch.zeros(1, 12, 20)
    for place in range(2):
        row, column = _whole(0, 5, rng), 10 * place + _whole(0, 3, rng)
        image[:, row : row + 8, column : column + 8] = digits[place]
    wanted = torch.zeros(10, dtype=torch.long)
    wanted[classes[:2]] = 1
    return image, wanted


def _position(digits: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    image = torch.zeros(1, 24, 24)
    row, column = _whole(0, 17, rng), _whole(0, 17, rng)
    image[:, row : row + 8, column : column + 8] = digits[0]
    return image, torch.tensor([column / 16, row / 16])


def _boxes(digits: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    image = torch.zeros(1, 32, 32)
    labels = torch.full((3, 5), -1.0)
    for place in range(_whole(1, 4, rng)):
        side = _whole(8, 15, rng)
        row = 16 * (place // 2) + _whole(0, 17 - side, rng)
        column = 16 * (place % 2) + _whole(0, 17 - side, rng)
        enlarged = F.interpolate(digits[place : place + 1], size=(side, side), mode="bilinear")
        image[:, row : row + side, column : column + side] = enlarged[0]
        corners = [column, row, column + side, row + side]
        labels[place] = torch.tensor([*corners, int(classes[place])])
    return image, labels


def _one_digit(digits: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    return digits[0], classes[0]


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution with what usually follows it."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class SmallUNet(nn.Module):
    """Down twice, up twice, with the details handed over; a dict, as torchvision's return."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.second, self.third = block(1, 12), block(12, 24, 2), block(24, 48, 2)
        self.up, self.last = block(48 + 24, 24), block(24 + 12, 24)
        self.head = nn.Conv2d(24, classes, 1)

    def forward(self, x):
        fine = self.first(x)
        middle = self.second(fine)
        coarse = self.third(middle)
        middle = self.up(torch.cat([F.interpolate(coarse, scale_factor=2.0), middle], 1))
        fine = self.last(torch.cat([F.interpolate(middle, scale_factor=2.0), fine], 1))
        return {"out": self.head(fine)}


class Heads(nn.Module):
    """Scores of labels, from what is anywhere in the image."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(block(1, 16), block(16, 32, 2), block(32, 64), block(64, 64, 2))
        self.head = nn.Linear(64, labels)

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))


@dataclass
class Place:
    """Where something is."""

    x: Tensor
    y: Tensor


class Position(nn.Module):
    """Two heads, a number each, in a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(block(1, 8), block(8, 16, 2), block(16, 16, 2), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(16 * 36, 32), nn.ReLU())
        self.x, self.y = nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x):
        hidden = self.hidden(self.body(x))
        return Place(self.x(hidden), self.y(hidden))


class CentreMap(nn.Module):
    """A detector of one stage: centres by class, and boxes, for cells of four pixels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(1, 16), block(16, 32, 2), block(32, 64, 2), block(64, 64), block(64, 64)
        )
        self.classes, self.boxes = nn.Conv2d(64, classes, 1), nn.Conv2d(64, 4, 1)
        nn.init.constant_(self.classes.bias, -3.0)

    def forward(self, x):
        features = self.body(x)
        return torch.cat([self.classes(features), self.boxes(features)], 1)


class Classifier(nn.Module):
    """A body that gives directions, and a head that tells digits by them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(1, 16),
            block(16, 32, 2),
            block(32, 32),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 24),
        )
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.body(x))
