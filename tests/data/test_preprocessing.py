import numpy as np
import pytest
from PIL import Image

from sartor.data import Preprocessing
from sartor.errors import DataError, UsageError

#: Red left, blue right; 4 high and 8 wide.
_HALVES = np.zeros((4, 8, 3), dtype=np.uint8)
_HALVES[:, :4, 0] = 255
_HALVES[:, 4:, 2] = 255


def _photo(orientation=None):
    image = Image.fromarray(_HALVES)
    if orientation is not None:
        image.getexif()[0x0112] = orientation
    return image


def test_without_options_an_image_stays_as_it_is():
    pixels = Preprocessing().apply(_photo())
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, _HALVES.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((640, 480), 256, (256, 341)),
        ((480, 640), 256, (341, 256)),
        ((500, 375), 256, (256, 341)),
        ((640, 480), (32, 48), (32, 48)),
        ((10, 1000), 20, (2000, 20)),
    ],
)
def test_the_shorter_side_or_both_are_resized(size, resize, expected):
    pixels = Preprocessing(resize=resize).apply(Image.new("RGB", size))
    assert pixels.shape == (3, *expected)


def test_the_centre_is_cut_out_and_rounded_as_torchvision_does():
    columns = np.arange(11, dtype=np.uint8)
    image = Image.fromarray(np.tile(columns, (9, 1)))
    pixels = Preprocessing(crop=(1, 4)).apply(image)
    # (11 − 4) / 2 is 3.5, which rounds to the even 4.
    assert pixels.tolist() == [[[4, 5, 6, 7]]]


def test_a_crop_larger_than_the_image_is_black_around_it():
    pixels = Preprocessing(crop=5).apply(Image.new("L", (3, 2), 9))
    assert pixels[0].tolist() == [
        [0, 0, 0, 0, 0],
        [0, 9, 9, 9, 0],
        [0, 9, 9, 9, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_resizing_averages_and_nearest_picks():
    stripes = np.zeros((8, 8), dtype=np.uint8)
    stripes[:, ::2] = 200
    image = Image.fromarray(stripes)
    averaged = Preprocessing(resize=4, interpolation="box").apply(image)
    assert set(averaged.flatten().tolist()) == {100}
    picked = Preprocessing(resize=4, interpolation="nearest").apply(image)
    assert set(picked.flatten().tolist()) <= {0, 200}


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (None, _HALVES),
        (1, _HALVES),
        (2, _HALVES[:, ::-1]),
        (3, _HALVES[::-1, ::-1]),
        # The camera was held so that what was stored must be turned clockwise.
        (6, np.rot90(_HALVES, -1)),
        (8, np.rot90(_HALVES, 1)),
    ],
)
def test_photos_are_turned_upright_before_all_else(orientation, expected):
    pixels = Preprocessing().apply(_photo(orientation))
    assert np.array_equal(pixels, expected.transpose(2, 0, 1))


def test_the_image_that_is_given_is_not_changed():
    image = _photo(6)
    Preprocessing(resize=2).apply(image)
    assert image.size == (8, 4)


def test_grey_and_colours_become_what_is_asked_for():
    grey = Image.new("L", (2, 2), 7)
    assert Preprocessing().apply(grey).shape == (1, 2, 2)
    assert Preprocessing(channels=3).apply(grey).tolist() == [[[7, 7], [7, 7]]] * 3
    white = Image.new("RGB", (2, 2), "white")
    assert Preprocessing(channels=1).apply(white).tolist() == [[[255, 255], [255, 255]]]


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "RGBA", "HSV"])
def test_every_kind_of_colour_becomes_rgb(mode):
    image = _photo().convert(mode)
    pixels = Preprocessing().apply(image).astype(int)
    assert np.abs(pixels - _HALVES.transpose(2, 0, 1)).max() <= 2


def test_images_of_16_bits_keep_their_levels_when_they_are_resized():
    levels = np.full((8, 8), 12345, dtype=np.uint16)
    pixels = Preprocessing(resize=4, channels=3).apply(Image.fromarray(levels))
    assert pixels.shape == (3, 4, 4)
    assert pixels.dtype == np.float32
    assert pixels == pytest.approx(12345 / 65535, abs=1e-6)


def test_what_cannot_be_kept_is_refused_with_its_name():
    with pytest.raises(DataError, match=r"cat\.png has transparent pixels"):
        Preprocessing().apply(Image.new("RGBA", (2, 2)), "cat.png")
    with pytest.raises(DataError, match=r"cat\.png has whole numbers of 32 bits"):
        Preprocessing().apply(Image.new("I", (2, 2)), "cat.png")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"resize": 0}, "resize is 0"),
        ({"resize": (32,)}, r"resize is \(32,\)"),
        ({"crop": 2.5}, "crop is 2.5"),
        ({"crop": True}, "crop is True"),
        ({"channels": 4}, "channels is 4"),
        ({"interpolation": "bilnear"}, "did you mean 'bilinear'"),
        ({"mean": (0.5,)}, "mean"),
        ({"mean": (0.5,), "std": (0.0,)}, "every std above 0"),
        ({"mean": (0.5,), "std": (0.5,), "channels": 3}, "each of 3 channels"),
    ],
)
def test_wrong_values_are_named(options, sentence):
    with pytest.raises((UsageError, DataError), match=sentence):
        Preprocessing(**options)


def test_a_description_holds_all_of_it():
    preprocessing = Preprocessing(
        channels=3,
        resize=(40, 30),
        interpolation="bicubic",
        crop=28,
        mean=[0.5, 0.5, 0.5],
        std=[0.25, 0.25, 0.25],
        origin="from a test",
    )
    assert preprocessing.describe() == (
        "3 channels, resized to 40 x 30 (bicubic), centre 28 x 28, "
        "mean 0.5,0.5,0.5 std 0.25,0.25,0.25 (from a test)"
    )


def test_resizing_is_that_of_torchvision():
    transforms = pytest.importorskip(
        "torchvision.transforms", reason="torchvision is not installed"
    )
    rng = np.random.default_rng(0)
    modes = transforms.InterpolationMode
    for height, width in [(37, 61), (300, 259), (17, 16), (233, 640)]:
        image = Image.fromarray(rng.integers(256, size=(height, width, 3), dtype=np.uint8))
        for name, mode in [("bilinear", modes.BILINEAR), ("bicubic", modes.BICUBIC)]:
            for crop in (24, 28, 33):
                steps = [transforms.Resize(28, mode), transforms.CenterCrop(crop)]
                theirs = np.asarray(transforms.Compose(steps)(image)).transpose(2, 0, 1)
                preprocessing = Preprocessing(resize=28, crop=crop, interpolation=name)
                assert np.array_equal(preprocessing.apply(image), theirs)
