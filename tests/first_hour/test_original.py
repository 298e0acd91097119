"""The original is scored first, and what is not what its user thinks is said or refused."""

import re
import shutil

import pytest
import torch
from torch import nn

import sartor
from first_hour.conftest import NAMES, write_folder
from first_hour.networks import ColourNet
from sartor.data import Preprocessing
from sartor.errors import UsageError

#: As the networks were trained.
SCALE = Preprocessing(mean=(0.5,) * 3, std=(0.1,) * 3)

QUICK = sartor.SearchOptions(episodes=2, finalists=1, baselines=())


def test_the_original_is_said_before_the_first_episode(search):
    status, out, _ = search()
    assert status == 0
    found = re.search(r"original: (\S+) % of 300 validation images \((\S+) to (\S+)\)", out)
    accuracy, low, high = map(float, found.groups())
    assert low < accuracy < high
    assert found.start() < out.index("searching 1/3")
    assert "warning:" not in out


def test_wrong_normalisation_is_refused_and_the_right_one_is_named(search, trained, tmp_path):
    path = tmp_path / "plain.safetensors"
    # Pixels from 0 to 255 went into training: the first layer takes the factor.
    tensors = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    tensors["first.weight"] /= 25.5
    tensors["first.bias"] -= 5 * trained.first.weight.detach().sum((1, 2, 3))
    sartor.models.save_weights(path, tensors)

    status, out, err = search(weights=path)
    assert status == 2
    assert "original: " not in out
    assert re.search(
        r"the original answers .* of 300 validation images .* right; of 200 images it answers "
        r"\d+% right if they are normalised as pixels from 0 to 255 \(mean 0,0,0 and std "
        r"0\.00392157,.*\), \d+% as they are \(not normalised\): give --mean and --std",
        err,
    )
    status, out, _ = search("--anyway", weights=path)
    assert status == 0
    assert "warning: the original answers" in out


def test_random_weights_of_an_own_network_are_warned_of_first(search):
    status, out, _ = search(weights=None)
    assert status == 0, "a trial may do without trained weights"
    warning = out.index("warning: the original answers ")
    assert "no better than guessing (10.0%); its weights are random" in " ".join(out.split())
    assert warning < out.index("searching 1/3")


def test_another_order_of_classes_is_refused_and_shown(search, photos, tmp_path):
    # As a folder numbers them that has other names: each class one further.
    root = tmp_path / "turned"
    shutil.copytree(photos, root)
    names = sorted(NAMES)
    for split in root.iterdir():
        for name in names:
            (split / name).rename(split / f"{names.index(name)} aside")
        for number in range(10):
            (split / f"{number} aside").rename(split / f"{(number + 1) % 10}")

    status, _, err = search(data=root)
    assert status == 2
    assert "in another order than the network's: label 0 (0) is answered as 9, label 1 (1) " in err
    assert re.search(r"with its own order \d+% would be right", err)


def test_a_folder_with_two_of_ten_classes_is_refused(search, tmp_path):
    root = write_folder(tmp_path / "two", names=("one", "two"))
    status, _, err = search(data=root)
    assert status == 2
    assert "label 0 (one) is answered as 4, label 1 (two) is answered as 8" in err


def test_a_handful_of_images_is_said(search, tmp_path):
    root = write_folder(tmp_path / "few", {"train": 200, "val": 40, "test": 40})
    status, out, _ = search(data=root)
    assert status == 0
    assert re.search(r"warning: 40 validation images know an accuracy to ± \d+ points", out)


@pytest.mark.parametrize(("expected", "status"), [("92%", 0), ("0.5", 2), ("50%", 2), ("93", 2)])
def test_a_network_that_is_not_the_expected_one_is_refused(search, expected, status):
    found, _, err = search("--expect", expected)
    assert found == status, err
    if expected == "93":
        assert "expect is 93.0; it must be a share above 0 and up to 1" in err
    elif status:
        assert "which excludes the 50.00% that are expected" in err


def test_statistics_that_were_not_saved_are_found(photos):
    data = sartor.data.load(str(photos), calibration=600, preprocessing=SCALE)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten(), nn.Linear(864, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    pixels, labels = data.calibration.normalized(), data.calibration.labels
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Another scale of the inputs would not mend what is wrong by channel.
    model[1].running_mean.copy_(100 * torch.linspace(-1, 1, 24))
    model[1].running_var.copy_(torch.logspace(-4, 4, 24))
    with pytest.raises(UsageError, match=r"in training mode it answers .* right: the running stat"):
        sartor.compress(model, data, options=QUICK)


def test_python_is_told_too(photos, trained, capsys, caplog):
    data = sartor.data.load(str(photos), calibration=64, preprocessing=SCALE)
    events = []
    result = sartor.compress(trained, data, options=QUICK, progress=events.append)
    (original,) = [event for event in events if isinstance(event, sartor.pipeline.OriginalScore)]
    assert original.accuracy == result.report.original.validation
    assert original.interval == result.report.original.validation_interval
    assert original.interval.images == 300
    assert original.chance == 0.1
    assert result.report.best.change.low <= result.report.best.change.high
    assert result.report.original.change is None

    few = sartor.Data(data.calibration, data.validation.slice(0, 30))
    found = sartor.compress(trained, few, options=QUICK)
    assert "30 validation images" in caplog.text
    assert found.report.warnings == tuple(record.message for record in caplog.records)
    assert capsys.readouterr().err == ""


def test_a_measure_of_the_users_is_held_against_what_is_expected():
    options = sartor.SearchOptions(episodes=2, expect=0.9, reward="accuracy")
    with pytest.raises(UsageError, match=r"answers 50\.00% right, which excludes the 90\.00%"):
        sartor.compress(
            ColourNet(),
            evaluate=lambda network: 0.5,
            example_inputs=torch.zeros(1, 3, 8, 8),
            options=options,
        )
