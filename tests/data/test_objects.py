"""Data from objects: the same samples, whatever holds them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler

import sartor
from sartor import data
from sartor.data import Preprocessing
from sartor.errors import DataError, UsageError

COUNTS = {"train": 12, "validation": 8, "test": 4}
CLASSES = ("cat", "dog")
SQUARE = Preprocessing(resize=16, crop=16, mean=(0.4,) * 3, std=(0.2,) * 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """JPEGs of many sizes, upright and not, in three splits of two classes."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = rng.integers(20, 48, size=2)
                pixels = rng.integers(0, 120, size=(height, width, 3), dtype=np.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels).save(root / split / name / f"{number:02}.jpg")
    return root


class Photos(Dataset):
    """The files of a split, opened and no more."""

    classes = CLASSES

    def __init__(self, root, transform=None):
        files = [sorted((root / name).iterdir()) for name in CLASSES]
        self.samples = [(path, label) for label, found in enumerate(files) for path in found]
        self.transform = transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, number):
        path, label = self.samples[number]
        with Image.open(path) as image:
            image.load()
        return (image if self.transform is None else self.transform(image)), label


def ready(image):
    """What a transform of the user's own gives: a tensor of the size that the network reads."""
    return torch.from_numpy(SQUARE.apply(image))


def datasets_of(root):
    return {split: Photos(root / split) for split in COUNTS}


def loaders_of(root):
    sets = {split: Photos(root / split, ready) for split in COUNTS}
    return {split: DataLoader(held, batch_size=5) for split, held in sets.items()}


def hugging_face_of(root):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    parts = {}
    for split in COUNTS:
        rows = Photos(root / split).samples
        columns = {"image": [str(path) for path, _ in rows], "label": [label for _, label in rows]}
        parts[split] = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict(parts)


class Bring:
    """What ``package.module:callable`` points to."""

    root = None

    @staticmethod
    def photos(seed):
        return datasets_of(Bring.root)


def by_callable(root):
    Bring.root = root
    return f"{__name__}:Bring.photos"


KINDS = {
    "dataset": datasets_of,
    "loader": loaders_of,
    "Hugging Face": hugging_face_of,
    "callable": by_callable,
    "list": lambda root: {split: list(held) for split, held in datasets_of(root).items()},
    "batches": lambda root: {split: list(held) for split, held in loaders_of(root).items()},
}


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(200, 2)
    ).eval()


@pytest.fixture(scope="module")
def from_folder(folder):
    return data.load(folder, calibration=10, seed=3, preprocessing=SQUARE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_photos_are_the_same_images_in_the_same_order(kind, folder, from_folder):
    loaded = data.load(KINDS[kind](folder), calibration=10, seed=3, preprocessing=SQUARE)
    for name in ("calibration", "validation", "test"):
        expected = getattr(from_folder, name)
        found = getattr(loaded, name)
        assert torch.equal(found.pixels, expected.pixels), name
        assert torch.equal(found.labels, expected.labels), name
        assert (found.mean, found.std) == (expected.mean, expected.std)
    assert loaded.class_count == from_folder.class_count == 2
    named = kind not in ("list", "batches")
    assert loaded.classes == (CLASSES if named else ("0", "1"))


@pytest.mark.parametrize("kind", ["folder", "loader", "Hugging Face", "callable"])
def test_the_same_search_gives_the_same_policy(kind, folder, from_folder):
    held = str(folder) if kind == "folder" else KINDS[kind](folder)
    options = sartor.SearchOptions(
        episodes=2, agent="random", seed_with=(), baselines=(), anyway=True, multiple=1, seed=5
    )

    def search(images, **more):
        return sartor.compress(small_network(), images, options=options, **more)

    count = max(options.compress.images, options.compress.final_images)
    expected = search(data.load(folder, calibration=count, seed=5, preprocessing=SQUARE))
    found = search(held, preprocessing=SQUARE)
    assert found.policy == expected.policy
    assert found.report.best.validation == expected.report.best.validation


def test_calibration_images_are_drawn_alike_whatever_shuffles(folder):
    held = datasets_of(folder)
    shuffled = {
        split: DataLoader(part, shuffle=True, batch_size=4, collate_fn=list_of_pairs)
        for split, part in held.items()
    }
    before = torch.get_rng_state()
    loaded = data.load(shuffled, calibration=5, seed=1, preprocessing=SQUARE)
    assert torch.equal(torch.get_rng_state(), before), "the host's generator stays as it was"
    plain = data.load(held, calibration=5, seed=1, preprocessing=SQUARE)
    other = data.load(held, calibration=5, seed=2, preprocessing=SQUARE)
    assert torch.equal(loaded.calibration.pixels, plain.calibration.pixels)
    assert not torch.equal(other.calibration.pixels, plain.calibration.pixels)


def list_of_pairs(pairs):
    """Photos of many sizes do not stack."""
    images, labels = zip(*pairs, strict=True)
    return list(images), list(labels)


def test_what_a_sampler_leaves_out_stays_out():
    samples = [(torch.full((1, 2, 2), number / 10), number % 2) for number in range(10)]
    loader = DataLoader(samples, sampler=SubsetRandomSampler([8, 1, 3, 2]), batch_size=3)
    parts = {"train": loader, "validation": samples, "test": samples}
    loaded = data.load(parts, calibration=data.ALL)
    drawn = loaded.calibration.pixels[:, 0, 0, 0].tolist()
    assert sorted(drawn) == pytest.approx([0.1, 0.2, 0.3, 0.8])


def test_data_without_splits_is_divided_and_no_image_is_in_two_parts():
    samples = [(torch.full((1, 2, 2), number / 100), number % 3) for number in range(41)]
    loaded = data.load(samples, calibration=data.ALL)
    again = data.load(samples, calibration=4, seed=9)
    parts = (loaded.calibration, loaded.validation, loaded.test)
    assert [len(part) for part in parts] == [20, 11, 10]
    seen = torch.cat([part.pixels[:, 0, 0, 0] for part in parts])
    assert len(seen.unique()) == 41
    assert torch.equal(again.validation.pixels, loaded.validation.pixels)
    assert torch.isin(again.calibration.pixels, loaded.calibration.pixels).all()
    assert loaded.remarks[0] == (
        "no splits: of 41 samples, 20 drawn at random are for calibration and training, 11 for "
        "validation, 10 for test"
    )


def test_a_split_that_is_missing_is_halved_and_that_is_said():
    samples = [(torch.rand(1, 2, 2), number % 2) for number in range(10)]
    loaded = data.load({"calibration": samples, "dev": samples}, calibration=4)
    assert (len(loaded.validation), len(loaded.test)) == (5, 5)
    assert loaded.remarks[0] == (
        "there is no test split: the validation split was halved, 5 validation images and 5 test "
        "images"
    )


def test_classes_do_not_depend_on_what_was_drawn():
    train = [(torch.rand(1, 2, 2), label) for label in (0, 0, 0, 0, 4)]
    held_out = [(torch.rand(1, 2, 2), label) for label in (1, 0)]

    class Labelled(list):
        targets = (0, 0, 0, 0, 4)

    for seed in range(3):
        loaded = data.load(
            {"train": Labelled(train), "val": held_out, "test": held_out}, calibration=1, seed=seed
        )
        assert loaded.class_count == 5


def test_inputs_that_are_normalised_already_are_not_normalised_again():
    samples = [(torch.randn(3, 4, 4) * 3, number % 2) for number in range(8)]
    parts = {"train": samples, "validation": samples, "test": samples}
    loaded = data.load(parts, calibration=4, preprocessing=SQUARE)
    assert torch.equal(loaded.test.batch(slice(0, 1))[0], samples[0][0])
    assert any("taken as normalised" in sentence for sentence in loaded.remarks)
    in_range = [(image.sigmoid(), label) for image, label in samples]
    scaled = data.load(dict.fromkeys(parts, in_range), calibration=4, preprocessing=SQUARE)
    expected = (in_range[0][0] - 0.4) / 0.2
    assert torch.allclose(scaled.test.batch(slice(0, 1))[0], expected)


def test_labels_may_have_any_shape():
    boxes = [(torch.rand(3, 4, 4), torch.arange(8.0).view(2, 4)) for _ in range(6)]
    loaded = data.load({"train": boxes, "val": boxes, "test": boxes}, calibration=2)
    assert loaded.validation.labels.shape == (6, 2, 4)
    assert loaded.class_count == 0


class Endless(IterableDataset):
    """Batches of mappings, in another order each time if asked to."""

    def __init__(self, step=0):
        self.step = step
        self.started = 0

    def __iter__(self):
        self.started += self.step
        for first in (0, 3):
            numbers = torch.arange(first, first + 3) + self.started
            pixels = numbers.view(3, 1, 1, 1) / 20 * torch.ones(1, 1, 2, 2)
            yield {"pixel_values": pixels, "labels": numbers % 4}


def test_an_iterable_is_gone_through_again_and_must_stay_the_same():
    parts = {"train": Endless(), "validation": Endless(), "test": Endless()}
    loaded = data.load(parts, calibration=data.ALL)
    levels = loaded.validation.pixels[:, 0, 0, 0] * 20
    assert levels.round().tolist() == [0, 1, 2, 3, 4, 5]
    assert loaded.validation.labels.tolist() == [0, 1, 2, 3, 0, 1]
    with pytest.raises(DataError, match=r"gives other samples each time .* do not shuffle it"):
        data.load({**parts, "test": Endless(step=1)}, calibration=2)
    with pytest.raises(DataError, match="is a generator, which can be gone through only once"):
        data.load({**parts, "test": (pair for pair in [(1, 2)])}, calibration=2)


PAIRS = [(torch.rand(1, 2, 2), number % 2) for number in range(4)]


class Broken(list):
    def __getitem__(self, number):
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        (3, UsageError, r"data is a int; allowed are a torch DataLoader or Dataset, a Hugging"),
        ({"train": PAIRS, "test": 3}, UsageError, r"data\['test'\] is a int; allowed are"),
        ({"train": PAIRS}, DataError, "data has no test split; it holds train, expected are"),
        ({"test": PAIRS}, DataError, "data has no train split; it holds test, expected are"),
        ({"train": PAIRS, "test": []}, DataError, r"data\['test'\] is empty: at least one image"),
        (PAIRS[:3], DataError, "data has 3 samples and no splits; at least 4 are needed"),
        ([1, 2, 3, 4], DataError, "data gives items of type int; each must be a pair of inputs"),
        (Broken(PAIRS), DataError, "item 0 of data cannot be read: .*the disk is gone"),
        ([{"x": 1, "y": 2}] * 4, DataError, "gives items with the entries x, y; expected one of"),
        ([("a.jpg", 0)] * 4, DataError, "item . of data is a str; allowed are tensors, arrays, im"),
        ([(PAIRS[0][0], "cat")] * 4, DataError, "has the label 'cat', a str; labels must be num"),
        (
            [(torch.rand(1, 2, 2), 0), (torch.rand(1, 2, 3), 1)] * 4,
            DataError,
            r"item \d of data is 2 x \d pixels and item \d of data is 2 x \d; all must agree",
        ),
    ],
)
def test_what_is_no_data_is_refused_with_one_sentence(wrong, error, sentence):
    with pytest.raises(error, match=sentence):
        data.load(wrong, calibration=2)
