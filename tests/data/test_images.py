"""What images and labels may be, and how image files are read."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sartor import data
from sartor.data import Data, Images, Preprocessing
from sartor.errors import DataError, UsageError


def written(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def folder_of(root, images, kind="png"):
    """Training and validation images of two classes."""
    for split in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            place = root / split / name
            place.mkdir(parents=True)
            for index, image in enumerate(images):
                image.save(place / f"{label}{index}.{kind}")
    return root


RAMP = np.tile(np.arange(16, dtype=np.uint16) * 4096 + 15, (16, 1))


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_grey_images_of_16_bits_keep_their_levels(kind, tmp_path):
    loaded = data.load(folder_of(tmp_path, [Image.fromarray(RAMP)] * 2, kind), calibration=2)
    pixels = loaded.validation.pixels
    assert pixels.shape == (2, 1, 16, 16)
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels[0, 0, 3], torch.from_numpy(RAMP[3].astype(np.float32) / 65535))


def test_grey_images_have_one_channel_and_are_repeated_for_a_network_of_three(tmp_path):
    grey = Image.fromarray((RAMP >> 8).astype(np.uint8))
    folder = folder_of(tmp_path, [grey] * 2)
    loaded = data.load(folder, calibration=2)
    assert loaded.calibration.pixels.shape == (2, 1, 16, 16)
    assert loaded.calibration.pixels.dtype == torch.uint8
    assert loaded.calibration.pixels[0, 0, 0].tolist() == [16 * step for step in range(16)]
    wide = loaded.with_channels(3)
    for images in (wide.calibration, wide.validation):
        inputs = images.batch(slice(None))
        assert images.shape == inputs.shape[1:] == (3, 16, 16)
        assert torch.equal(inputs, (images.pixels.float() / 255).repeat(1, 3, 1, 1))
    assert wide.with_channels(1).validation.shape == (1, 16, 16)
    imagenet = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    scaled = data.load(folder, calibration=2, preprocessing=imagenet)
    first = scaled.validation.normalized()[0, :, 0, 1]
    expected = [(16 / 255 - mean) / std for mean, std in ((0.1, 1), (0.2, 2), (0.3, 3))]
    assert first.tolist() == pytest.approx(expected)


def test_images_of_one_set_become_alike(tmp_path):
    eight = Image.fromarray(np.full((16, 16), 51, dtype=np.uint8))
    colour = Image.fromarray(np.full((16, 16, 3), (255, 0, 51), dtype=np.uint8))
    loaded = data.load(
        folder_of(tmp_path, [eight, colour, Image.fromarray(RAMP)]), calibration=data.ALL
    )
    pixels = loaded.calibration.pixels
    assert pixels.shape == (6, 3, 16, 16)
    assert pixels.dtype == torch.float32
    values = {round(value, 4) for value in pixels[:, 0, 0, 0].tolist()}
    assert values == {0.2, 1.0, round(15 / 65535, 4)}


def test_a_colour_image_in_one_split_makes_all_colour(tmp_path):
    folder = folder_of(tmp_path, [Image.fromarray(np.zeros((8, 8), dtype=np.uint8))] * 2)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(folder / "val/cat/colour.png")
    loaded = data.load(folder, calibration=2)
    assert loaded.calibration.batch(slice(None)).shape == (2, 3, 8, 8)
    assert loaded.validation.batch(slice(None)).shape == (3, 3, 8, 8)


def with_alpha(mode, alpha):
    image = Image.new(mode, (8, 8))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_transparency_is_dropped_only_where_there_is_none(mode, channels, tmp_path):
    loaded = data.load(folder_of(tmp_path / "a", [with_alpha(mode, 255)] * 2), calibration=1)
    assert loaded.validation.pixels.shape[1] == channels
    folder = folder_of(tmp_path / "b", [with_alpha(mode, 254)] * 2)
    with pytest.raises(DataError, match=r"\.png has transparent pixels, which would be lost"):
        data.load(folder, calibration=1)


def test_palettes_become_colours(tmp_path):
    colours = np.zeros((8, 8, 3), dtype=np.uint8)
    colours[:, 4:] = (200, 100, 50)
    palette = Image.fromarray(colours).quantize(4)
    loaded = data.load(folder_of(tmp_path, [palette] * 2), calibration=1)
    assert loaded.validation.pixels[0, :, 0, 6].tolist() == [200, 100, 50]


def test_whole_numbers_of_unknown_range_are_refused_and_floats_are_kept(tmp_path):
    signed = Image.fromarray(np.full((8, 8), -5, dtype=np.int32))
    with pytest.raises(DataError, match=r"\.tif has whole numbers of 32 bits, or signed ones"):
        data.load(folder_of(tmp_path / "a", [signed] * 2, "tif"), calibration=1)
    floats = Image.fromarray(np.full((8, 8), 2.5, dtype=np.float32))
    loaded = data.load(folder_of(tmp_path / "b", [floats] * 2, "tif"), calibration=1)
    assert loaded.validation.pixels[0, 0, 0, 0] == 2.5


def test_grey_parquet_images_have_one_channel(tmp_path):
    encoded = [written(Image.fromarray(RAMP))] * 4
    for name in ("train", "test"):
        table = pa.table({"image": encoded, "label": [0, 1, 0, 1]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    loaded = data.load(tmp_path, calibration=2)
    assert loaded.validation.pixels.shape == (2, 1, 16, 16)
    assert len(loaded.validation.pixels.unique()) == 16


def test_arrays_are_images_too():
    pixels = np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32)
    images = Images(pixels, np.array([0, 1, 2, 1], dtype=np.int16))
    assert torch.equal(images.pixels, torch.from_numpy(pixels))
    assert images.labels.dtype == torch.int64
    levels = np.full((1, 1, 2, 2), 13107, dtype=np.uint16)
    assert Images(levels, [0]).normalized()[0, 0, 0, 0] == pytest.approx(0.2)
    eight = np.full((1, 1, 2, 2), 51, dtype=np.uint8)
    assert Images(eight, [0]).normalized()[0, 0, 0, 0] == pytest.approx(0.2)
    signed = np.full((1, 1, 2, 2), -300, dtype=np.int16)
    assert Images(signed, [0]).normalized()[0, 0, 0, 0] == -300


FOUR = torch.rand(4, 3, 8, 8)


@pytest.mark.parametrize(
    ("pixels", "labels", "sentence"),
    [
        (FOUR, torch.tensor(3), "labels are a single number, 3; there must be one per image"),
        (FOUR, [0, 1, 0], "4 images but 3 labels"),
        (torch.rand(4), [0] * 4, r"images have shape \(4,\); they must be \(count, channels"),
        (torch.rand(0, 3, 8, 8), [], "the data set is empty"),
        (FOUR, ["cat"] * 4, "labels must be a tensor or an array of numbers, not list"),
        (None, [0] * 4, "images must be a tensor or an array of numbers, not NoneType"),
        (torch.rand(4, 3, dtype=torch.complex64), [0] * 4, "images are complex numbers"),
    ],
)
def test_what_are_no_images_or_labels_is_refused_with_one_sentence(pixels, labels, sentence):
    with pytest.raises(DataError, match=sentence):
        Images(pixels, labels)


def test_parts_of_the_data_agree():
    grey = Images(torch.rand(4, 1, 8, 8), [0, 1, 2, 3])
    colour = Images(FOUR, [0, 1, 2, 3])
    with pytest.raises(DataError, match=r"test images are of shape \(3, 8, 8\), calibration .*1"):
        Data(grey, grey, colour)
    with pytest.raises(DataError, match="validation images have the label -1; labels count from 0"):
        Data(colour, Images(FOUR, [0, -1, 2, 3]))
    with pytest.raises(DataError, match="validation images have the label 3, but there are 3 cl"):
        Data(colour, colour, classes=("a", "b", "c"))
    assert Data(Images(FOUR, [-1] * 4), colour).class_count == 4
    assert Data(colour, colour, classes=tuple("abcde")).class_count == 5


def test_classes_are_those_of_the_folders_whatever_is_drawn(tmp_path):
    folder = folder_of(tmp_path, [Image.new("RGB", (8, 8))] * 3)
    (folder / "train/owl").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "train/owl/0.png")
    for seed in range(4):
        loaded = data.load(folder, calibration=1, seed=seed)
        assert loaded.classes == ("cat", "dog", "owl")
        assert loaded.class_count == 3


def parquet(path, labels, names=None, column="label"):
    encoded = [written(Image.new("RGB", (4, 4)))] * len(labels)
    table = pa.table({"image": encoded, column: pa.array(labels, pa.int64())})
    if names is not None:
        features = {"image": {"_type": "Image"}, column: {"names": names, "_type": "ClassLabel"}}
        record = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": record})
    pq.write_table(table, path)


@pytest.mark.parametrize("column", ["label", "fine_label"])
def test_classes_of_parquet_files_are_in_their_metadata(column, tmp_path):
    parquet(tmp_path / "train.parquet", [0, 1, 0], ["a", "b", "c", "d"], column)
    parquet(tmp_path / "test.parquet", [0, 1], None, column)
    assert data.load(tmp_path, calibration=1).classes == ("a", "b", "c", "d")


def test_classes_of_parquet_files_without_metadata_are_those_of_all_labels(tmp_path):
    parquet(tmp_path / "train.parquet", [0, 0, 0, 0, 6])
    parquet(tmp_path / "val.parquet", [0, 1])
    parquet(tmp_path / "test.parquet", [None, None])
    for seed in range(3):
        assert data.load(tmp_path, calibration=1, seed=seed).class_count == 7
    assert data.load("digits", calibration=1).classes == tuple("0123456789")


def bring(calibration, seed):
    """What ``package.module:callable`` points to."""
    generator = torch.Generator().manual_seed(seed)
    images = Images(torch.rand(calibration, 1, 4, 4, generator=generator), [0] * calibration)
    return Data(images, images)


def bring_nothing(calibration, seed):
    return None


def bring_trouble(calibration, seed):
    raise RuntimeError("no network")


def reference(function):
    return f"{__name__}:{function.__name__}"


def test_a_function_may_bring_the_data():
    loaded = data.load(reference(bring), calibration=5, seed=3)
    assert torch.equal(loaded.validation.pixels, bring(5, 3).validation.pixels)
    half = Preprocessing(mean=(0.5, 0.5, 0.5), std=(1, 1, 1))
    scaled = data.load(reference(bring), calibration=5, preprocessing=half)
    assert scaled.calibration.mean == (0.5, 0.5, 0.5)
    assert scaled.calibration.batch(slice(None)).shape == (5, 3, 4, 4)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            reference(bring_nothing),
            r"bring_nothing' gives is a NoneType; allowed are .* sartor\.Data",
        ),
        (reference(bring_trouble), "cannot be loaded: no network"),
        ("no.such:thing", r"data 'no\.such:thing' cannot be imported"),
        ("hf:cifar10", "download the data set first"),
    ],
)
def test_what_brings_no_data_is_named(source, sentence):
    with pytest.raises(UsageError, match=sentence):
        data.load(source, calibration=1)


def test_a_name_that_is_nearly_right_is_proposed(tmp_path):
    with pytest.raises(DataError, match=r"data 'digit' is not a folder; did you mean 'digits'\?"):
        data.load("digit", calibration=1)
    with pytest.raises(DataError, match=r"has neither train\*\.parquet nor a folder train/"):
        data.load(tmp_path, calibration=1)
    with pytest.raises(UsageError, match="calibration must be at least 1 image, not 0"):
        data.load("digits", calibration=0)


class Ramps(data.Source):
    """Images of one level each, their label."""

    classes = ("dark", "grey", "light")

    @staticmethod
    def recognises(place):
        return place.endswith(".ramps")

    def has(self, split):
        return split != "validation"

    def samples(self, split):
        return [(label * torch.ones(1, 2, 2), label) for label in (0, 1, 2) * 4]


def test_a_source_of_another_package_is_one_class():
    data.SOURCES.register("ramps", Ramps)
    for source in ("some.ramps", Ramps("some.ramps")):
        loaded = data.load(source, calibration=4)
        assert len(loaded.calibration) == 4
        assert (len(loaded.validation), len(loaded.test)) == (6, 6)
        assert loaded.classes == Ramps.classes
        assert loaded.test.pixels[:, 0, 0, 0].tolist() == loaded.test.labels.tolist()
