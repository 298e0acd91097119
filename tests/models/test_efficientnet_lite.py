import io

import numpy as np
import pytest
import torch
from PIL import Image

from sartor import models
from sartor.compression.slicing import keep_safe_groups
from sartor.data import Preprocessing
from sartor.graph import trace


def _paddings(model):
    found = []
    for module in model.modules():
        if isinstance(module, torch.nn.ZeroPad2d):
            found.append(tuple(module.padding))
    return found


def test_what_is_odd_of_the_padding_goes_below_and_to_the_right():
    # (left, right, top, bottom); a window of 5 at stride 2 misses 3 of an even side.
    even, wide = (0, 1, 0, 1), (1, 2, 1, 2)
    assert _paddings(models.build("efficientnet_lite0")) == [
        even,
        (1, 1, 1, 1),
        *[even, (1, 1, 1, 1)],
        *[wide, (2, 2, 2, 2)],
        *[even, (1, 1, 1, 1), (1, 1, 1, 1)],
        *[(2, 2, 2, 2)] * 3,
        *[wide, *[(2, 2, 2, 2)] * 3],
        (1, 1, 1, 1),
    ]


def test_it_has_the_parameters_of_the_paper_and_the_sizes_of_the_stages():
    model = models.build("efficientnet_lite0")
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_652_008
    small = models.build("efficientnet_lite0", classes=10, pixels=32)
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_all_channels_but_the_outputs_can_be_pruned_and_slicing_is_right():
    model = models.build("efficientnet_lite0", classes=10, pixels=64)
    network = trace(model, torch.zeros(1, 3, 64, 64))
    assert [item.layer for item in network.kept_whole] == ["_fc"]
    # One of the stem, seven of the stages, fifteen of expansions, one of the head.
    assert len(network.groups) == 24
    assert keep_safe_groups(network).groups == network.groups


def test_trained_weights_load_and_recognise_photos(shared):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    weights = shared / "models/efficientnet_lite0-imagenet.safetensors"
    known = models.known_preprocessing("", weights)
    mean, std = known.mean, known.std
    model = models.build("efficientnet_lite0").eval()
    models.load_weights(model, weights)

    table = parquet.read_table(shared / "data/imagenet1000/validation.parquet").slice(0, 60)
    rows = table.to_pydict()
    preprocessing = Preprocessing(3, 256, "bicubic", 224, mean, std)
    photos = [Image.open(io.BytesIO(item["bytes"])) for item in rows["image"]]
    pixels = torch.from_numpy(np.stack([preprocessing.apply(photo) for photo in photos]))
    shape = (1, 3, 1, 1)
    inputs = (pixels / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    with torch.no_grad():
        answers = model(inputs).argmax(1)
    # 86.7 % of all 1,000.
    right = (answers == torch.tensor(rows["label"])).double().mean()
    assert float(right) == pytest.approx(0.867, abs=3 * (0.867 * 0.133 / 60) ** 0.5)
