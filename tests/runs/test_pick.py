"""Networks of a search other than the best."""

import json
import re
import shlex
import shutil

import pytest
import torch

import sartor
from sartor import demo
from sartor.cli import main, parse
from sartor.errors import RunError, UsageError
from sartor.export import find_format
from sartor.runs import Run
from sartor.search import front


@pytest.fixture(scope="module")
def run(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(
        [
            "search",
            "--model",
            "sartor.demo:DigitsNet",
            "--weights",
            str(weights),
            "--data",
            "digits",
            "--out",
            str(folder),
            "--episodes",
            "8",
            "--finalists",
            "2",
            "--agent",
            "random",
            "--budget",
            "macs<=60%",
            "--methods",
            "prune,quantize",
            "--target",
            "onnxruntime",
        ]
    )
    return folder


def test_nothing_beats_the_front_and_it_beats_all_else(run):
    episodes = Run(run).episodes
    kept = front(episodes)
    for one in kept:
        for other in episodes:
            cheaper = (
                other.outcome.relative_latency is not None
                and other.outcome.relative_latency < one.outcome.relative_latency
            )
            assert not (cheaper and other.outcome.accuracy >= one.outcome.accuracy)
    for other in {e.number for e in episodes if not e.outcome.stopped} - {e.number for e in kept}:
        outcome = episodes[other].outcome
        assert any(
            one.outcome.relative_latency <= outcome.relative_latency
            and one.outcome.accuracy >= outcome.accuracy
            for one in kept
        )


def test_the_network_of_the_best_episode_is_the_one_delivered(run):
    policies = {}
    for episode in Run(run).episodes:
        policies[episode.number] = Run(run).pick(episode.number).policy
    delivered = Run(run).policy
    (number, *_) = [number for number, policy in policies.items() if policy == delivered]
    mine, theirs = (
        sartor.load(run / f"episode-{number}", demo.DigitsNet()),
        sartor.load(run, demo.DigitsNet()),
    )
    assert all(
        torch.equal(item, theirs.state_dict()[name]) for name, item in mine.state_dict().items()
    )


def test_what_was_picked_is_fine_tuned_and_exported_like_a_run(run, capsys):
    number = front(Run(run).episodes)[0].number
    main(["pick", str(run)])
    assert f"│ {number:>7} │" in capsys.readouterr().out.replace("┃", "│")
    main(["pick", str(run), "--episode", str(number)])
    folder = run / f"episode-{number}"
    main(["finetune", str(folder), "--epochs", "1", "--batch", "64"])
    main(["export", str(folder)])
    again = find_format("onnx").read_metadata(folder / "export/model.onnx")["command"]
    made = rf"sartor search .* --budget 'macs<=60%' .* && sartor pick {run} --episode {number}"
    assert re.fullmatch(rf"{made} && sartor finetune {folder} --epochs 1 --batch 64", again), again
    main(["verify", str(folder)])
    verified = json.loads((folder / "export/model.onnx.verified.json").read_text())
    assert verified["accuracy"] == pytest.approx(verified["simulated"], abs=0.01)
    with pytest.raises(SystemExit):
        main(["search", "--resume", str(folder)])
    assert "holds a network that was not searched there" in capsys.readouterr().err


def test_what_was_fine_tuned_is_fine_tuned_once_more(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("episode-*"))
    with pytest.raises(
        RunError, match="holds nothing that was fine-tuned; go on with: sartor finetune"
    ):
        Run(folder).pick_finetuned()
    main(["finetune", str(folder), "--epochs", "2", "--batch", "64", "--augment", "mirror,shift"])
    main(["pick", str(folder), "--finetuned"])
    further = folder / "further"
    said = capsys.readouterr().out
    assert f"network in {further}\n" in said
    assert f"next: sartor finetune {further}" in said
    main(["finetune", str(further), "--epochs", "1", "--learning-rate", "0.001"])
    first, second = (
        json.loads((place / "finetuned/finetune.json").read_text()) for place in (folder, further)
    )
    assert second["validation"]["before"] == first["validation"]["after"]
    assert second["test"]["original"] == first["test"]["original"]
    main(["export", str(further)])
    again = (
        find_format("onnx").read_metadata(further / "export/model.onnx")["command"].split(" && ")
    )
    assert again[1:] == [
        f"sartor finetune {folder} --epochs 2 --batch 64 --augment mirror,shift",
        f"sartor pick {folder} --finetuned",
        f"sartor finetune {further} --epochs 1 --learning-rate 0.001",
    ]
    for command in again:
        parse(shlex.split(command)[1:])
    main(["verify", str(further)])
    with pytest.raises(RunError, match="further is there already; fine-tune it, or remove it"):
        Run(folder).pick_finetuned()
    with pytest.raises(SystemExit):
        main(["pick", str(folder), "--finetuned", "--episode", "1"])
    assert "--finetuned and --episode 1 are two networks; choose one" in capsys.readouterr().err


def test_what_is_not_there_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match=r"episode 99 is not in .*; it has 0 to 7"):
        Run(run).pick(99)
    with pytest.raises(RunError, match="is not the folder of a run"):
        Run(tmp_path).pick(0)
