"""Repair of what a run found, kept beside it."""

import json
import re
import shlex
import shutil

import pytest
import torch

import sartor
from sartor import demo
from sartor.cli import main, parse
from sartor.compression import is_quantized
from sartor.errors import RunError
from sartor.export import find_format
from sartor.repair import RepairOptions
from sartor.runs import RepairReport, Run, repaired_words

QUICK = RepairOptions(shown=8192, batch=64, rounds=3)
FLAGS = ["--shown", "8192", "--batch", "64", "--rounds", "3"]


@pytest.fixture(scope="module")
def searched(weights, tmp_path_factory):
    """A search whose candidates are pruned and rounded, none of them repaired."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(
        [
            *("search", "--model", "sartor.demo:DigitsNet", "--weights", str(weights)),
            *("--data", "digits", "--out", str(folder), "--episodes", "4", "--finalists", "1"),
            *("--agent", "random", "--budget", "macs<=30%,bops<=4%", "--methods", "prune,quantize"),
            *("--target", "onnxruntime", "--repair", "fit", "--baselines", ""),
        ]
    )
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(searched, copied)
    return copied


def test_it_is_what_the_run_delivers_and_what_was_found_is_kept(folder):
    run = Run(folder)
    found = run.load().state_dict()
    assert run.repaired is None
    report = run.repair(QUICK)
    assert run.repaired == report == RepairReport.read(run.layout.repair_report)
    assert report["before"] == report.before > report.after
    assert len(report.rounds) == 3

    mended = run.load()
    assert is_quantized(mended)
    assert run.latest.folder == run.layout.repaired
    assert any(not torch.equal(item, found[name]) for name, item in mended.state_dict().items())
    kept = sartor.load(folder, demo.DigitsNet()).state_dict()
    assert all(torch.equal(item, found[name]) for name, item in kept.items())
    assert list(run.networks)[-2:] == ["found", "repaired"]
    assert run.networks["repaired"].validation == report.validation.after
    assert "distance from the original's answers" in repaired_words(report)
    assert "Repaired without labels in 3 rounds" in run.report().read_text()


def test_it_is_exported_verified_and_fine_tuned(folder, capsys):
    main(["repair", str(folder), *FLAGS])
    said = capsys.readouterr().out
    assert "round 3/3: distance from the original" in said
    assert f"results in {folder / 'repaired'}" in said
    assert said.endswith(f"next: sartor export {folder}\n      sartor finetune {folder}\n")
    main(["export", str(folder)])
    main(["verify", str(folder)])
    run = Run(folder)
    (verified,) = run.verified
    assert not [fault for fault in verified.faults if "accuracy" in fault or "drift" in fault]
    assert verified.found.accuracy == pytest.approx(run.repaired.test.after, abs=0.01)
    metadata = find_format("onnx").read_metadata(folder / "export/model.onnx")
    assert (metadata["repaired"], metadata["finetuned"]) == ("true", "false")
    searched, repaired = metadata["command"].split(" && ")
    assert repaired == f"sartor repair {folder} --shown 8192 --batch 64 --rounds 3"
    for command in (searched, repaired):
        parse(shlex.split(command)[1:])
    main(["show", str(folder)])
    assert f"It is in {folder / 'repaired'}." in capsys.readouterr().out

    main(["finetune", str(folder), "--epochs", "1", "--batch", "64"])
    tuned = Run(folder).finetuned
    assert tuned.validation.before == run.repaired.validation.after
    assert Run(folder).latest.folder == run.layout.finetuned
    assert Run(folder).verified == (), "the file holds what was repaired"
    with pytest.raises(RunError, match="holds a fine-tuning, which is what the run delivers"):
        Run(folder).repair(QUICK)
    further = Run(folder).pick_finetuned()
    assert further.repair(QUICK).validation.before == tuned.validation.after


def test_one_that_was_killed_goes_on_and_ends_where_another_does(folder, searched, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(searched, whole)
    expected = Run(whole).repair(QUICK)

    def kill(done):
        if done.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(folder).repair(QUICK, on_round=kill)
    again = re.escape(f"sartor repair {folder} --resume")
    with pytest.raises(RunError, match=f"has not ended; go on with: {again}, or remove it"):
        Run(folder).export()
    with pytest.raises(RunError, match="has not ended"):
        Run(folder).finetune()
    with pytest.raises(RunError, match="already holds a repair; go on with --resume, or remove"):
        Run(folder).repair(QUICK)
    other = RepairOptions(shown=1024, batch=64, rounds=3)
    with pytest.raises(RunError, match="use the same options or remove it"):
        Run(folder).repair(other, resume=True)
    found = Run(folder).repair(QUICK, resume=True)
    assert (found.after, found.validation) == (expected.after, expected.validation)
    mine, theirs = Run(folder).load().state_dict(), Run(whole).load().state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_an_episode_that_was_picked_is_repaired_like_a_run(folder, capsys):
    number = 0 if Run(folder).best_episode.number else 1
    main(["pick", str(folder), "--episode", str(number)])
    assert f"sartor repair {folder / f'episode-{number}'}" in capsys.readouterr().out
    picked = Run(folder / f"episode-{number}")
    assert picked.repair(QUICK).after < picked.repaired.before
    assert picked.latest.folder == picked.layout.repaired


def test_what_the_validation_images_say_is_worse_is_not_delivered(folder, monkeypatch):
    accuracies = iter([0.9, 0.8])
    monkeypatch.setattr(
        "sartor.runs._repair.Repairing._validation", lambda self, network: next(accuracies)
    )
    run = Run(folder)
    found = run.load().state_dict()
    report = run.repair(QUICK)
    assert not report.kept
    assert (report.validation.before, report.validation.after) == (0.9, 0.9)
    assert "that is worse: what was found is delivered as it was" in repaired_words(report)
    assert all(torch.equal(item, found[name]) for name, item in run.load().state_dict().items())
    assert json.loads(run.layout.repair_report.read_text())["kept"] is False


def test_a_repair_of_another_policy_is_not_delivered(folder):
    run = Run(folder)
    run.repair(QUICK)
    path = folder / "policy.json"
    policy = json.loads(path.read_text())
    policy["weights"] = {"classifier": 0.5}
    path.write_text(json.dumps(policy))
    run.refresh()
    assert run.repaired is None
    with pytest.raises(RunError, match=r"was made from another policy .* or repair again"):
        run.load()
