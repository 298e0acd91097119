"""Folders of images: which of them are for what."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sartor import data
from sartor.errors import DataError


def png(number):
    """An image of one colour that tells it from all others."""
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def parquet(path, labels, first):
    """Images of the colours ``first`` and following."""
    rows = [{"bytes": png(first + index), "path": f"{index}.png"} for index in range(len(labels))]
    pq.write_table(pa.table({"image": rows, "label": labels}), path)


def colours(images):
    return images.pixels[:, 0, 0, 0].tolist()


def image_folder(folder, splits):
    """Per split and class, a number of images."""
    for split, classes in splits.items():
        for name, count in classes.items():
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                (folder / split / name / f"{index}.png").write_bytes(
                    png({"cat": 10, "dog": 20, "fox": 30}.get(name, 0))
                )
    return folder


def test_both_held_out_splits_are_used_as_they_are_called(tmp_path):
    parquet(tmp_path / "train-00000-of-00001.parquet", [0, 1, 0], 0)
    parquet(tmp_path / "validation-00000-of-00001.parquet", [0, 1, 1, 0], 100)
    parquet(tmp_path / "test-00000-of-00001.parquet", [1, 0], 200)
    loaded = data.load(tmp_path, calibration=data.ALL)
    assert sorted(colours(loaded.calibration)) == [0, 1, 2]
    assert colours(loaded.validation) == [100, 101, 102, 103]
    assert colours(loaded.test) == [200, 201]


@pytest.mark.parametrize("name", ["validation", "val", "test"])
def test_what_is_held_out_once_is_halved(name, tmp_path):
    parquet(tmp_path / "train.parquet", [0, 1], 0)
    parquet(tmp_path / f"{name}-0.parquet", [0, 1, 0], 100)
    parquet(tmp_path / f"{name}-1.parquet", [1, 0], 103)
    loaded = data.load(tmp_path, calibration=1)
    assert (colours(loaded.validation), colours(loaded.test)) == ([100, 101, 102], [103, 104])


def test_test_images_without_labels_are_not_scored(tmp_path):
    parquet(tmp_path / "train.parquet", [0, 1], 0)
    parquet(tmp_path / "validation.parquet", [0, 1, 0, 1], 100)
    parquet(tmp_path / "test.parquet", [-1, -1], 200)
    loaded = data.load(tmp_path, calibration=1)
    assert (colours(loaded.validation), colours(loaded.test)) == ([100, 101], [102, 103])
    (tmp_path / "validation.parquet").unlink()
    with pytest.raises(
        DataError, match=r"test\.parquet has images without a label \(-1\); labels count from 0"
    ):
        data.load(tmp_path, calibration=1)


def test_rows_sorted_by_class_are_shuffled_before_they_are_halved(tmp_path):
    parquet(tmp_path / "train.parquet", [0, 1], 0)
    parquet(tmp_path / "test.parquet", [0] * 20 + [1] * 20, 100)
    loaded = data.load(tmp_path, calibration=1)
    assert set(loaded.validation.labels.tolist()) == set(loaded.test.labels.tolist()) == {0, 1}
    assert sorted(colours(loaded.validation) + colours(loaded.test)) == list(range(100, 140))


def test_an_image_folder_numbers_its_classes_by_those_of_the_training_images(tmp_path):
    folder = image_folder(
        tmp_path,
        {"train": {"cat": 2, "dog": 2, "fox": 2}, "test": {"dog": 3, "fox": 3, ".checkpoints": 1}},
    )
    loaded = data.load(folder, calibration=data.ALL)
    assert len(loaded.calibration) == 6
    for images in (loaded.calibration, loaded.validation, loaded.test):
        assert [10 * (label + 1) for label in images.labels.tolist()] == colours(images)
    with pytest.raises(DataError, match="test has the class 'owl', which the training images lack"):
        data.load(image_folder(tmp_path, {"test": {"owl": 1}}), calibration=1)


def test_an_image_folder_is_halved_with_all_classes_in_both_parts(tmp_path):
    folder = image_folder(tmp_path, {"train": {"cat": 6, "dog": 6}, "test": {"cat": 5, "dog": 5}})
    loaded = data.load(folder, calibration=7)
    assert (len(loaded.calibration), len(loaded.validation), len(loaded.test)) == (7, 5, 5)
    assert set(loaded.validation.labels.tolist()) == {0, 1}


def test_held_out_images_are_the_same_for_every_seed(tmp_path):
    folder = image_folder(tmp_path, {"train": {"cat": 2, "dog": 2}, "test": {"cat": 5, "dog": 5}})
    first, second = (data.load(folder, calibration=2, seed=seed) for seed in (0, 1))
    assert colours(first.validation) == colours(second.validation)
    assert colours(first.test) == colours(second.test)


def test_hidden_files_are_no_images_and_names_are_told_of_those_that_cannot_be_read(tmp_path):
    folder = image_folder(tmp_path, {"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2}})
    (folder / "train/cat/.DS_Store").write_bytes(b"nothing")
    data.load(folder, calibration=data.ALL)
    (folder / "train/cat/notes.txt").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train/cat/notes\.txt cannot be decoded as an image"):
        data.load(folder, calibration=data.ALL)


def test_a_test_split_without_any_labels_is_not_scored(tmp_path):
    folder = image_folder(
        tmp_path / "a", {"train": {"cat": 2, "dog": 2}, "val": {"cat": 2, "dog": 2}, "test": {}}
    )
    (folder / "test").mkdir()
    (folder / "test/1.png").write_bytes(png(99))
    parquet(tmp_path / "train.parquet", [0, 1], 0)
    parquet(tmp_path / "val.parquet", [0, 1, 0, 1], 100)
    pq.write_table(pa.table({"image": [png(200)]}), tmp_path / "test.parquet")
    for place in (folder, tmp_path):
        loaded = data.load(place, calibration=1)
        assert (len(loaded.validation), len(loaded.test)) == (2, 2)


def test_images_may_be_plain_bytes(tmp_path):
    for name in ("train", "test"):
        pq.write_table(
            pa.table({"image": [png(1), png(2)], "label": [0, 1]}), tmp_path / f"{name}.parquet"
        )
    assert sorted(colours(data.load(tmp_path, calibration=data.ALL).calibration)) == [1, 2]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_refused(wrong):
    pixels, labels = torch.rand(5, 3, 4, 4), torch.zeros(5, dtype=torch.int64)
    data.Images(pixels, labels, (0.5,) * 3, (0.2,) * 3)
    with pytest.raises(
        DataError, match=r"mean \(0\.5, 0\.5, .*\) and std .* must be finite, and every std above 0"
    ):
        data.Images(pixels, labels, (0.5, 0.5, wrong), (0.2,) * 3)
    for std in (wrong, 0.0, -0.2, 1e-50):
        with pytest.raises(DataError, match="must be finite, and every std above 0"):
            data.Images(pixels, labels, (0.5,) * 3, (0.2, std, 0.2))
    pixels[2:4, 1, 3, 3] = wrong
    with pytest.raises(DataError, match="image 2 has pixels that are NaN or infinite"):
        data.Images(pixels, labels)


def test_cifar_splits_are_those_of_the_shared_data(shared):
    loaded = data.load(shared / "data/cifar10", calibration=10)
    rows = (
        pq.read_table(shared / "data/cifar10/test.parquet", columns=["label"])
        .column("label")
        .to_pylist()
    )
    assert (loaded.validation.labels.tolist(), loaded.test.labels.tolist()) == (
        rows[:5000],
        rows[5000:],
    )
