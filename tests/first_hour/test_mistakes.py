"""Mistakes of newcomers: what is said, and with which status the command ends."""

import re
import sys

import pytest

import sartor
from first_hour.conftest import write_folder
from sartor.data import Preprocessing
from sartor.errors import BudgetError, UsageError

#: As the networks were trained.
SCALE = Preprocessing(mean=(0.5,) * 3, std=(0.1,) * 3)


def test_an_own_module_in_the_current_folder_is_found(
    search, weights, trained, tmp_path, monkeypatch
):
    # As the installed command begins: with its own folder on the path, not the current one.
    kept = [place for place in sys.path if place not in ("", str(tmp_path))]
    monkeypatch.setattr(sys, "path", kept)
    (tmp_path / "mynet_here.py").write_text("from first_hour.networks import untrained as build\n")
    status, out, err = search(model="mynet_here:build")
    assert status == 0, err
    assert "original: 9" in out


def test_a_missing_split_is_said(search, tmp_path):
    root = write_folder(tmp_path / "two_splits", {"train": 300, "test": 601})
    status, out, err = search(data=root)
    assert status == 0, err
    assert (
        "note: there is no validation split: the test split was halved, 301 validation images and "
        "300 test images" in out
    )


def test_to_show_a_folder_that_does_not_exist_says_so(sartor_command):
    status, _, err = sartor_command("show", "runs/none")
    assert status == 1
    assert "runs/none is not the folder of a run" in err
    assert "Resume" not in err


def test_a_forgotten_percent_sign_is_asked_for(search):
    status, _, err = search(budget="macs<=50")
    assert status == 2
    assert "for a share of the original write macs<=50%" in err


def test_methods_as_plain_text_are_explained():
    with pytest.raises(UsageError, match=r"it must be a list of names, such as \('prune',\)"):
        sartor.SearchOptions(methods="prune")


def test_a_time_below_0_is_refused(search):
    status, _, err = search("--max-time=-1")
    assert status == 2
    assert "max_time is -1.0; it must be seconds, at least 0" in err


def test_latency_in_python_is_explained_in_words_of_python(trained, photos):
    data = sartor.data.load(str(photos), calibration=32, preprocessing=SCALE)
    with pytest.raises((BudgetError, UsageError), match=r"target='onnxruntime' in Python"):
        sartor.compress(trained, data, budget="latency<=0.5")


def test_a_run_goes_on_with_more_episodes(search, sartor_command):
    assert search()[0] == 0
    status, out, err = sartor_command("search", "--resume", "run", "--episodes", "5")
    assert status == 0, err
    assert re.search(r"^5 episodes in ", out, re.MULTILINE)
    assert sartor.Run("run").config.options.episodes == 5
    assert len(sartor.Run("run").episodes) == 5


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--budget", "macs<=30%"), "--budget is macs<=50% and cannot become macs<=30%"),
        (("--methods", "prune,quantize"), "--methods is prune and cannot become prune,quantize"),
        (("--seed", "3"), "--seed is 0 and cannot become 3"),
        (("--images", "7"), "--images is 512 and cannot become 7"),
        (("--episodes", "2"), "--episodes 2 is less than the 3 that are done"),
        (("--config", "a.toml"), "--config a.toml and --resume run both say what to search"),
    ],
)
def test_a_run_that_goes_on_refuses_what_would_make_it_another(
    search, sartor_command, option, sentence
):
    assert search()[0] == 0
    before = sartor.Run("run").layout.result.read_bytes()
    status, _, err = sartor_command("search", "--resume", "run", *option)
    assert status == 2
    assert sentence in err
    assert sartor.Run("run").layout.result.read_bytes() == before


def test_a_resumed_folder_that_is_no_run_is_named(sartor_command):
    status, _, err = sartor_command("search", "--resume", "nowhere")
    assert status == 1
    assert "nowhere is not the folder of a run" in err


def test_what_is_interrupted_while_judging_says_how_to_go_on(search, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("sartor.pipeline._judge.Judge.choose", interrupted)
    status, out, _ = search()
    assert status == 130
    assert "interrupted; go on with: sartor search --resume run" in out


def test_a_key_of_a_config_file_that_does_not_exist_gets_the_nearest(sartor_command, tmp_path):
    (tmp_path / "run.toml").write_text("[options]\nmax-tiem = 3\n")
    status, _, err = sartor_command("search", "--config", "run.toml")
    assert status == 2
    assert "unknown key 'max-tiem'; did you mean 'max-time'?" in err


def test_a_key_of_a_config_file_may_have_hyphens_or_underscores(tmp_path):
    path = tmp_path / "run.toml"
    for key in ("max-time", "max_time"):
        path.write_text(f"[options]\n{key} = 3.0\n")
        assert sartor.RunConfig.from_toml(path).options.max_time == 3.0
