"""Blood cells with boxes around them (BCCD), and a detector on the body of a classifier.

No command of its own: detection.py imports it. Pascal VOC's format: photos of 640 × 480 in
JPEGImages, boxes in Annotations, splits in ImageSets/Main.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, fx, nn

from _common import minimise
from sartor.compression.modules import trainable_copy, with_own_graph
from sartor.data import Data, Images
from sartor.tasks import Detection

CLASSES = ("RBC", "WBC", "Platelets")
TASK = Detection(stride=8, size=64.0)
#: Photos at half their size, with 16 rows of zeros below.
WIDTH, HEIGHT = 320, 256
_SCALE = 0.5
#: The most boxes of one photo.
_MOST = 40
#: What reads the features of the body at strides 8, 16 and 32.
_READERS = ("_blocks.5._expand_conv", "_blocks.11._expand_conv", "_conv_head")
_CHANNELS = 64


def blood(folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> Data:
    """Its own splits: 205 photos for training, 87 for validation, 72 for the test."""
    splits = {}
    for split in ("train", "val", "test"):
        names = (folder / f"ImageSets/Main/{split}.txt").read_text(encoding="utf-8").split()
        photos, labels = zip(*(_photo(folder, name) for name in names), strict=True)
        splits[split] = Images(torch.stack(photos), torch.stack(labels), mean, std)
    return Data(splits["train"], splits["val"], splits["test"])


class Body(nn.Module):
    """The layers of a classifier up to three of its tensors, at strides 8, 16 and 32."""

    def __init__(self, classifier: fx.GraphModule) -> None:
        super().__init__()
        network, _ = with_own_graph(trainable_copy(classifier))
        read = {}
        for node in network.graph.nodes:
            if node.op == "call_module" and node.target in _READERS:
                read[node.target] = node.all_input_nodes[0]
            if node.op == "output":
                node.args = (tuple(read[name] for name in _READERS),)

        network.graph.eliminate_dead_code()
        network.delete_all_unused_submodules()
        network.recompile()
        self.layers = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images to features, the finest first."""
        return cast("tuple[Tensor, ...]", self.layers(x))


class Head(nn.Module):
    """Features of three strides, added up at the finest, to a map of centres and boxes."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, _CHANNELS, 1) for count in channels)
        self.mix = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        self.last = nn.Conv2d(_CHANNELS, len(CLASSES) + 4, 1)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias[: len(CLASSES)], -3.0)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Maps (images, 7, 32, 40)."""
        sides = [
            lateral(x) for lateral, x in zip(self.lateral, (fine, middle, coarse), strict=True)
        ]
        merged = F.interpolate(sides[2], scale_factor=2.0) + sides[1]
        merged = F.interpolate(merged, scale_factor=2.0) + sides[0]
        return self.last(F.relu(self.mix(F.relu(merged))))


class Detector(nn.Module):
    """A body and a head."""

    def __init__(self, body: Body, head: Head) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Images (count, 3, 256, 320) to maps (count, 7, 32, 40)."""
        fine, middle, coarse = self.body(x)
        return self.head(fine, middle, coarse)


def detector_on(body: Body, train: Images, *, epochs: int, seed: int) -> Detector:
    """A head trained on what a body gives, which stays as it is."""
    torch.manual_seed(seed)
    with torch.no_grad():
        features = _features(body, train.normalized())
        mirrored = _features(body, train.normalized().flip(-1))
    labels = (train.labels, TASK.mirrored(train.labels, WIDTH))

    head = Head(tuple(item.shape[1] for item in features))
    generator = torch.Generator().manual_seed(seed)

    def loss(step: int) -> Tensor:
        chosen = torch.randint(len(train), (8,), generator=generator)
        source = features if step % 2 else mirrored
        wanted = labels[0 if step % 2 else 1][chosen]
        return TASK.loss((head(*(item[chosen] for item in source)),), wanted)

    minimise(head, epochs * (len(train) // 8), loss)
    return Detector(body, head).eval()


def _features(body: Body, pixels: Tensor) -> tuple[Tensor, ...]:
    parts = [body(part) for part in pixels.split(8)]
    return tuple(torch.cat(same) for same in zip(*parts, strict=True))


def _photo(folder: Path, name: str) -> tuple[Tensor, Tensor]:
    with Image.open(folder / f"JPEGImages/{name}.jpg") as photo:
        half = photo.convert("RGB").resize((WIDTH, 240), Image.Resampling.BICUBIC)
    pixels = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    pixels[:, :240] = torch.from_numpy(np.asarray(half).copy()).permute(2, 0, 1)
    return pixels, _boxes(folder / f"Annotations/{name}.xml")


def _boxes(path: Path) -> Tensor:
    labels = torch.full((_MOST, 5), -1.0)
    found = 0
    for item in ElementTree.parse(path).getroot().iter("object"):
        corners = [
            _SCALE * float(item.findtext(f"bndbox/{side}", ""))
            for side in ("xmin", "ymin", "xmax", "ymax")
        ]
        x1, y1, x2, y2 = corners
        # A few boxes of the set have no area.
        if x2 > x1 and y2 > y1:
            labels[found] = torch.tensor([*corners, CLASSES.index(item.findtext("name", ""))])
            found += 1
    return labels
