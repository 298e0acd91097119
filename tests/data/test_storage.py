"""Where decoded images lie: in memory, on disk, found again, gone on with after a kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from sartor import data
from sartor.data import Images, Preprocessing, Storage
from sartor.errors import DataError, UsageError
from sartor.finetune import FinetuneOptions, finetune
from sartor.graph import trace
from sartor.scoring import ImageScorer

SMALL = Preprocessing(resize=8, crop=8)


def photos(root, counts, size=(12, 10)):
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, size=(*size, 3), dtype=np.uint8)
                pixels[..., 0] = 255 * label
                Image.fromarray(pixels).save(root / split / name / f"{number:03}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("photos"), {"train": 40, "val": 70, "test": 3})


def counted(monkeypatch):
    """The names of all images that are decoded from now on."""
    decodings = []
    apply = Preprocessing.apply

    def decode(self, image, name):
        decodings.append(name)
        return apply(self, image, name)

    monkeypatch.setattr(Preprocessing, "apply", decode)
    return decodings


def same(first, second):
    return torch.equal(first.pixels, second.pixels) and torch.equal(first.labels, second.labels)


@pytest.mark.parametrize("named", [True, False])
def test_images_on_disk_are_those_in_memory(named, folder, tmp_path):
    place = tmp_path / "images" if named else None
    in_memory = data.load(folder, calibration=20, preprocessing=SMALL)
    on_disk = data.load(
        folder, calibration=20, preprocessing=SMALL, storage=Storage(place, memory=0)
    )
    for name in ("calibration", "validation", "test"):
        assert same(getattr(in_memory, name), getattr(on_disk, name)), name
    assert "0 MB in memory" in in_memory.remarks[-2]
    assert in_memory.remarks[-2].startswith("images of 3 x 8 x 8: 20 for calibration, 140 for val")
    assert on_disk.remarks[-2].endswith("on disk")
    if named:
        assert len(list(place.glob("*.npy"))) == 3
        assert not list(place.glob(".*.part"))


def test_memory_is_given_to_the_first_that_fit(folder, tmp_path):
    size = 3 * 8 * 8
    storage = Storage(tmp_path, memory=20 * size + 6 * size)
    data.load(folder, calibration=20, preprocessing=SMALL, storage=storage)
    (kept,) = tmp_path.glob("*.npy")
    assert len(np.load(kept)) == 140


def test_what_was_decoded_is_found_again(folder, tmp_path, monkeypatch):
    storage = Storage(tmp_path, memory=0)
    first = data.load(folder, calibration=20, preprocessing=SMALL, storage=storage)
    decodings = counted(monkeypatch)
    again = data.load(folder, calibration=20, preprocessing=SMALL, storage=storage)
    assert same(first.validation, again.validation)
    assert not decodings

    scaled = Preprocessing(resize=8, crop=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    data.load(folder, calibration=20, preprocessing=scaled, storage=storage)
    assert not decodings, "mean and std are applied to what is there"

    other = data.load(folder, calibration=20, seed=1, preprocessing=SMALL, storage=storage)
    assert len(decodings) == 20, "other images for calibration, the same held out"
    assert same(first.test, other.test)

    (folder / "test/cat/000.png").touch()
    decodings.clear()
    data.load(folder, calibration=20, preprocessing=SMALL, storage=storage)
    assert len(decodings) == 6, "only what was changed is decoded again"
    assert not all("val" in name for name in decodings)


STUCK = """
import sys, time
from pathlib import Path
from sartor import data
from sartor.data import Preprocessing, Storage
from sartor.data.decoding import _kept

_kept._EVERY = 0.0
apply = Preprocessing.apply
names = []

def stuck(self, image, name):
    names.append(name)
    if len(names) > 135:
        time.sleep(600)
    return apply(self, image, name)

Preprocessing.apply = stuck
storage = Storage(Path(sys.argv[2]), memory=0, workers=1)
size = Preprocessing(resize=8, crop=8)
data.load(sys.argv[1], calibration=1, preprocessing=size, storage=storage)
"""


def noted(folder):
    """How many images each decoding noted to be done."""
    found = []
    for note in folder.glob(".*.json"):
        # It is removed when all are done.
        with contextlib.suppress(FileNotFoundError):
            found.append(json.loads(note.read_text())["done"])
    return found


def test_decoding_that_was_killed_goes_on_where_it_stood(folder, tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", STUCK, str(folder), str(tmp_path)])
    deadline = time.monotonic() + 60
    while noted(tmp_path) != [128]:
        assert process.poll() is None, "it ended before it noted how far it was"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    decodings = counted(monkeypatch)
    storage = Storage(tmp_path, memory=0, workers=1)
    loaded = data.load(folder, calibration=1, preprocessing=SMALL, storage=storage)
    validation = [name for name in decodings if "/val/" in name]
    # The first chunk is decoded again, to know how large images are; then only what was left.
    assert len(validation) == 64 + 140 - 128
    monkeypatch.undo()
    plain = data.load(folder, calibration=1, preprocessing=SMALL)
    assert same(loaded.validation, plain.validation)
    assert not list(tmp_path.glob(".*.part"))


def test_what_is_left_of_another_file_is_begun_again(folder, tmp_path):
    storage = Storage(tmp_path, memory=0)
    first = data.load(folder, calibration=1, preprocessing=SMALL, storage=storage)
    for kept in list(tmp_path.glob("*.npy")):
        kept.with_name(f".{kept.stem}.part").write_bytes(b"half a header")
        kept.with_name(f".{kept.stem}.json").write_text('{"done": 3, "first": "a"}')
        kept.unlink()
    again = data.load(folder, calibration=1, preprocessing=SMALL, storage=storage)
    assert same(first.validation, again.validation)


@pytest.mark.parametrize("memory", [0, 10**9])
def test_processes_decode_the_same_in_the_same_order(memory, folder):
    alone = data.load(folder, calibration=80, preprocessing=SMALL)
    storage = Storage(memory=memory, workers=2)
    together = data.load(folder, calibration=80, preprocessing=SMALL, storage=storage)
    assert same(alone.calibration, together.calibration)
    assert same(alone.validation, together.validation)


def test_an_image_that_a_process_cannot_decode_is_named(tmp_path):
    folder = photos(tmp_path, {"train": 1, "val": 70})
    (folder / "val/dog/060.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"val/dog/060\.png cannot be decoded as an image"):
        data.load(folder, calibration=1, storage=Storage(workers=2))


@pytest.mark.parametrize("memory", [0, 10**9])
def test_late_colours_and_late_levels_widen_what_is_there(memory, tmp_path):
    folder = tmp_path / "photos"
    for split in ("train", "val", "test"):
        (folder / split / "a").mkdir(parents=True)
        for number in range(70):
            grey = Image.fromarray(np.full((8, 8), number, dtype=np.uint8))
            grey.save(folder / split / "a" / f"{number:03}.png")
    Image.new("RGB", (8, 8), (255, 0, 51)).save(folder / "val/a/098.png")
    Image.fromarray(np.full((8, 8), 13107, dtype=np.uint16)).save(folder / "val/a/099.png")
    loaded = data.load(folder, calibration=1, storage=Storage(tmp_path / "kept", memory=memory))
    held_out = loaded.validation
    assert held_out.pixels.shape == (72, 3, 8, 8)
    assert held_out.pixels.dtype == torch.float32
    found = {tuple(round(float(level), 4) for level in image[:, 0, 0]) for image in held_out.pixels}
    levels = {(round(number / 255, 4),) * 3 for number in range(70)}
    assert found == levels | {(1.0, 0.0, 0.2), (0.2, 0.2, 0.2)}


def test_photos_of_several_sizes_ask_for_a_size(tmp_path):
    folder = photos(tmp_path, {"train": 1, "val": 70})
    Image.new("RGB", (10, 11)).save(folder / "val/dog/069.png")
    sentence = (
        r"\.png is 12 x 10 pixels and .*069\.png is 11 x 10; all must agree: give --resize and "
        r"--crop, or preprocessing=Preprocessing\(resize=…, crop=…\) in Python"
    )
    with pytest.raises(DataError, match=sentence):
        data.load(folder, calibration=1)
    loaded = data.load(folder, calibration=1, preprocessing=SMALL)
    assert loaded.validation.shape == (3, 8, 8)


def test_a_photo_is_seen_as_it_was_held(tmp_path):
    folder = photos(tmp_path, {"train": 1, "val": 2}, size=(8, 8))
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:4] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right shows it upright
    sideways = Image.fromarray(np.rot90(upright).copy())
    sideways.save(folder / "val/cat/001.png", exif=exif)
    loaded = data.load(folder, calibration=1)
    shown = torch.cat([loaded.validation.pixels, loaded.test.pixels])
    expected = torch.from_numpy(upright).permute(2, 0, 1)
    assert any(torch.equal(image, expected) for image in shown)


def test_colours_become_grey_as_pillow_makes_them(tmp_path):
    folder = photos(tmp_path, {"train": 5, "val": 5})
    coloured = data.load(folder, calibration=10)
    for images in (coloured.with_channels(1).validation, coloured.validation.with_channels(1)):
        assert images.shape == (1, 12, 10)
        levels = (images.batch(slice(None)) * 255).round()
        for image, level in zip(coloured.validation.pixels, levels, strict=True):
            plain = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
            assert np.array_equal(np.asarray(plain), level[0].numpy())


def test_networks_are_scored_and_trained_from_the_disk(folder, tmp_path):
    storage = Storage(tmp_path, memory=0)
    scale = Preprocessing(resize=8, crop=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    results = []
    for where in (storage, Storage()):
        loaded = data.load(folder, calibration=64, preprocessing=scale, storage=where)
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        )
        network = trace(model, loaded.calibration.batch(slice(0, 1))).module
        options = FinetuneOptions(epochs=1, batch=16)
        tuned = finetune(network, loaded.calibration, loaded.validation, options=options)
        score = ImageScorer(loaded.test).score(tuned.model)
        weights = tuned.model.state_dict()
        results.append((tuned.validation, score.accuracy, weights))
    on_disk, in_memory = results
    assert on_disk[:2] == in_memory[:2]
    for name, weight in in_memory[2].items():
        assert torch.equal(weight, on_disk[2][name])


@pytest.mark.parametrize("wrong", [{"memory": -1}, {"workers": 0}])
def test_a_storage_that_cannot_be_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name} is {wrong[name]}; it must be"):
        Storage(**wrong)


def test_images_that_are_not_finite_are_found_wherever_they_lie():
    pixels = torch.zeros(600, 1, 2, 2)
    pixels[513, 0, 1, 1] = float("nan")
    with pytest.raises(DataError, match="image 513 has pixels that are NaN or infinite"):
        Images(pixels, torch.zeros(600, dtype=torch.int64))
