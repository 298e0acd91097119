import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import sartor
from first_hour.networks import CLASSES, train
from sartor.cli import main
from sartor.data import Preprocessing

#: Images of each split.
COUNTS = {"train": 600, "val": 300, "test": 300}
#: How the network was trained, which its file says.
SCALE = Preprocessing(mean=(0.5,) * 3, std=(0.1,) * 3)
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write_folder(root, splits=COUNTS, *, names=NAMES, mode="RGB"):
    """Digits as PNG files, ``SPLIT/CLASS/NUMBER.png``; those of other classes are left out."""
    digits = load_digits()
    start = 0
    for split, count in splits.items():
        for number in range(start, start + count):
            name = NAMES[digits.target[number]]
            if name not in names:
                continue
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (digits.images[number] * 15.9).astype(np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")
        start += count
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of colour images, one folder a class."""
    return write_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def trained(photos):
    """A network that was trained on them, normalised."""
    data = sartor.data.load(str(photos), calibration=600, preprocessing=SCALE)
    assert data.classes == CLASSES
    return train(data.calibration)


@pytest.fixture(scope="session")
def weights(trained, tmp_path_factory):
    """Its file, with mean and standard deviation."""
    path = tmp_path_factory.mktemp("weights") / "colour.safetensors"
    metadata = sartor.models.metadata_of(SCALE)
    sartor.models.save_weights(path, trained.state_dict(), metadata)
    return path


@pytest.fixture
def sartor_command(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder of its own; gives its status, what it printed, what it said."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


@pytest.fixture
def search(sartor_command, photos, weights):
    """A short search of that network on those images, but for what is given."""

    def command(*arguments, **given):
        options = {
            "model": "first_hour.networks:untrained",
            "weights": weights,
            "data": photos,
            "out": "run",
            "episodes": 3,
            "finalists": 1,
            **given,
        }
        words = []
        for name, value in options.items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", value]
        return sartor_command("search", *words, *arguments)

    return command
