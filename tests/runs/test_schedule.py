"""Compressing a small network in stages."""

import dataclasses
import json
import shutil
import signal

import pytest
import torch
from torch import nn

import sartor
from listening import to_episodes
from sartor import demo
from sartor import runs as schedule
from sartor.cli import main
from sartor.compression import CompressOptions, read_policy
from sartor.errors import BudgetError, RunError, UsageError, WeightsError
from sartor.finetune import FinetuneChanges, FinetuneOptions, Teacher, _checkpoint
from sartor.runs import Layout, Observer, Run, RunConfig, Schedule, run_schedule

SEARCH = sartor.SearchOptions(
    episodes=6,
    finalists=2,
    baselines=(),
    seed_with=("uniform",),
    compress=CompressOptions(images=16, final_images=32),
)
TUNING = FinetuneOptions(epochs=2, batch=64, augment=(), learning_rate=0.02, ema=0.9)


def plan(weights, out, stages, *, last=None, **options):
    search = RunConfig(
        model="sartor.demo:DigitsNet",
        weights=weights,
        data="digits",
        out=out,
        options=dataclasses.replace(SEARCH, **options),
    )
    return Schedule(search, stages, TUNING, last or FinetuneChanges())


def kept_in(folder):
    groups = json.loads((folder / "network.json").read_text())["groups"]
    return {name: set(group["kept"]) for name, group in groups.items()}


def press_ctrl_c(episode, best):
    """In the last episode.

    Called as Python calls it, which can be a moment late where other threads run.
    """
    if episode.number == SEARCH.episodes - 1:
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)


def facts(entries):
    return [dataclasses.replace(entry, seconds=0.0) for entry in entries]


def test_every_stage_prunes_what_the_one_before_left(weights, data, tmp_path):
    entries = run_schedule(plan(weights, tmp_path / "s", ("macs<=70%", "macs<=45%")))
    assert [entry.budget for entry in entries] == ["macs<=70%", "macs<=45%"]
    assert 0.6 < entries[0].ratio.macs <= 0.7
    assert entries[1].ratio.macs <= 0.45
    first, second = (tmp_path / f"s/stage-{number}" for number in (1, 2))
    before, after = kept_in(first), kept_in(second)
    assert all(after[name] <= before[name] for name in before)
    assert sum(map(len, after.values())) < sum(map(len, before.values()))
    assert entries[0].test.original == entries[1].test.original
    network = sartor.load(second / "finetuned", demo.DigitsNet())
    scorer = sartor.scoring.ImageScorer(data.validation, dtype=torch.float32)
    assert scorer.score(network).accuracy == pytest.approx(entries[1].validation.after)
    start = demo.DigitsNet().eval()  # the second stage started from what the first had learned
    sartor.models.load_weights(start, first / "tuned.safetensors")
    images = data.validation.normalized()[:8]
    with torch.no_grad():
        assert torch.allclose(
            start(images), sartor.load(first / "finetuned", demo.DigitsNet())(images), atol=1e-4
        )


def test_no_stage_keeps_more_single_weights_than_the_one_before(weights, tmp_path):
    """And the last may keep less than a fifth of a convolution, the least of one search."""
    run_schedule(plan(weights, tmp_path, ("params<=50%", "params<=18%"), granularity="weights"))
    first, second = (read_policy(tmp_path / f"stage-{number}").weights for number in (1, 2))
    assert all(second[name] <= first[name] for name in first)
    convolutions = [
        name for name, module in demo.DigitsNet().named_modules() if isinstance(module, nn.Conv2d)
    ]
    assert min(second[name] for name in convolutions) < 0.2
    network = sartor.load(tmp_path / "stage-2/finetuned", demo.DigitsNet())
    for name, share in second.items():
        weight = network.get_parameter(f"{name}.weight")
        assert float((weight != 0).float().mean()) == pytest.approx(share, abs=0.02)


def test_the_last_stage_may_be_trained_in_another_way(weights, tmp_path):
    last = FinetuneChanges(epochs=3, learning_rate=0.01, augment=("mirror",))
    run_schedule(plan(weights, tmp_path, ("macs<=70%", "macs<=50%"), last=last))
    first, second = (
        json.loads((tmp_path / f"stage-{number}/finetuned/finetune.json").read_text())
        for number in (1, 2)
    )
    assert [len(report["epochs"]) for report in (first, second)] == [2, 3]
    differ = {name for name, value in first["options"].items() if second["options"][name] != value}
    assert differ == {"epochs", "learning_rate", "augment"}


def test_how_the_last_stage_is_trained_may_change_until_it_is(weights, tmp_path, capsys):
    run_schedule(plan(weights, tmp_path, ("macs<=70%",)))
    resume = ["schedule", "--resume", str(tmp_path), "--stages", "macs<=70%", "macs<=50%"]
    main([*resume, "--last.epochs", "3"])
    assert Schedule.read(tmp_path).last == FinetuneChanges(epochs=3)
    report = json.loads((tmp_path / "stage-2/finetuned/finetune.json").read_text())
    assert (report["options"]["epochs"], report["options"]["batch"]) == (3, TUNING.batch)
    main(resume)
    with pytest.raises(SystemExit):
        main([*resume, "--last.learning-rate", "0.01"])
    assert (
        "the last stage is being fine-tuned, or was; for another way, remove"
        in capsys.readouterr().err
    )
    assert Schedule.read(tmp_path).last == FinetuneChanges(epochs=3)


@pytest.mark.parametrize("moment", ["episode", "epoch"])
def test_an_interrupted_schedule_ends_where_an_uninterrupted_one_does(moment, weights, tmp_path):
    stages = ("macs<=70%", "macs<=50%")
    whole = run_schedule(plan(weights, tmp_path / "whole", stages))
    seen = []

    def stop(*event):
        seen.append(event)
        if len(seen) == {"episode": 9, "epoch": 3}[moment]:  # in the second stage
            raise SystemExit

    observer = Observer(on_epoch=stop)
    if moment == "episode":
        observer = Observer(progress=to_episodes(stop))
    broken = plan(weights, tmp_path / "broken", stages)
    with pytest.raises(SystemExit):
        run_schedule(broken, observer)
    with pytest.raises(RunError, match="already holds a schedule; resume it with"):
        run_schedule(broken)
    resumed = run_schedule(Schedule.read(tmp_path / "broken"), resume=True)
    assert facts(resumed) == facts(whole)
    mine, theirs = (
        sartor.load(tmp_path / f"{name}/stage-2/finetuned", demo.DigitsNet())
        for name in ("broken", "whole")
    )
    assert all(
        torch.equal(item, theirs.state_dict()[name]) for name, item in mine.state_dict().items()
    )


def test_a_stage_fine_tuned_again_by_hand_learns_from_the_original_and_the_schedule_goes_on_from_it(
    weights, tmp_path
):
    stages = ("macs<=70%", "macs<=50%")
    run_schedule(plan(weights, tmp_path, stages))
    stage, last = tmp_path / "stage-1", tmp_path / "stage-2"
    before = (stage / "tuned.safetensors").read_bytes()
    run_schedule(plan(weights, tmp_path, stages), resume=True)
    assert (stage / "tuned.safetensors").read_bytes() == before
    shutil.rmtree(last / "finetuned")
    main(["finetune", str(last), "--epochs", "1", "--augment", ""])
    reports = [
        json.loads((folder / "finetuned/finetune.json").read_text()) for folder in (stage, last)
    ]
    assert reports[0]["test"]["original"] == reports[1]["test"]["original"]
    checkpoints = [_checkpoint.read(Layout(folder).checkpoint)[1] for folder in (stage, last)]
    teachers = [
        checkpoint["candidate"][1] for checkpoint in checkpoints
    ]  # by their tensors: accuracies may be alike by chance
    assert teachers[0] == teachers[1]
    shutil.rmtree(stage / "finetuned")
    main(["finetune", str(stage), "--epochs", "3", "--augment", ""])
    with pytest.raises(
        RunError,
        match=r"stage-2 was searched from other weights than "
        r".*stage-1/tuned\.safetensors now holds",
    ):
        run_schedule(plan(weights, tmp_path, stages), resume=True)
    assert (stage / "tuned.safetensors").read_bytes() != before
    shutil.rmtree(last)
    entries = run_schedule(plan(weights, tmp_path, stages), resume=True)
    trained_again = json.loads((stage / "finetuned/finetune.json").read_text())
    assert vars(entries[0].validation) == trained_again["validation"]
    assert (last / "finetuned/model.safetensors").exists()


def test_a_schedule_may_be_moved_and_goes_on(weights, tmp_path):
    stages = ("macs<=70%", "macs<=50%")
    whole = run_schedule(plan(weights, tmp_path / "here", stages))
    (tmp_path / "here").rename(tmp_path / "there")
    shutil.rmtree(tmp_path / "there/stage-2/finetuned")
    main(["schedule", "--resume", str(tmp_path / "there")])
    entries = json.loads((tmp_path / "there/stages.json").read_text())
    expected = [dataclasses.asdict(entry) for entry in whole]
    for entry in (*entries, *expected):
        entry.pop("seconds")
    assert entries == expected
    main(["export", str(tmp_path / "there/stage-2")])


def test_a_run_whose_base_is_gone_is_not_fine_tuned(weights, tmp_path):
    run_schedule(plan(weights, tmp_path, ("macs<=70%", "macs<=50%")))
    shutil.copy(tmp_path / "stage-1/tuned.safetensors", tmp_path / "tuned.safetensors")
    config = Run(tmp_path / "stage-2").config
    dataclasses.replace(config, weights=tmp_path / "tuned.safetensors").save(tmp_path / "stage-2")
    shutil.rmtree(tmp_path / "stage-1")
    shutil.rmtree(tmp_path / "stage-2/finetuned")
    with pytest.raises(RunError, match=r"stage-1 does not exist; the run .*stage-2 is based on it"):
        Run(tmp_path / "stage-2").finetune(TUNING)


def test_a_kill_before_the_result_of_a_search_is_written_is_made_up_for(weights, tmp_path):
    whole = run_schedule(plan(weights, tmp_path, ("macs<=70%",)))
    (tmp_path / "stage-1/result.json").unlink()
    shutil.rmtree(tmp_path / "stage-1/finetuned")
    assert facts(run_schedule(plan(weights, tmp_path, ("macs<=70%",)), resume=True)) == facts(whole)


def test_only_what_has_not_begun_can_be_changed(weights, tmp_path):
    with pytest.raises(WeightsError, match="do not exist"):
        run_schedule(
            plan(tmp_path / "nothing.safetensors", tmp_path / "s", ("macs<=70%", "macs<=1%"))
        )
    with pytest.raises(
        BudgetError, match=r"budget macs<=1% cannot be met"
    ):  # the mistake in the weights locked nothing
        run_schedule(plan(weights, tmp_path / "s", ("macs<=70%", "macs<=1%")))
    assert not (tmp_path / "s").exists()  # said before the first search
    with pytest.raises(
        RunError, match="the search of stage 1 was interrupted"
    ):  # by Ctrl-C in its last episode
        run_schedule(
            plan(weights, tmp_path / "s", ("macs<=70%", "macs<=60%")),
            Observer(progress=to_episodes(press_ctrl_c)),
        )
    with pytest.raises(
        RunError,
        match=r"stage 1 of .* was begun with the budget macs<=70%; it cannot become macs<=80%",
    ):
        run_schedule(plan(weights, tmp_path / "s", ("macs<=80%", "macs<=50%")), resume=True)
    with pytest.raises(RunError, match="holds a schedule with other options"):
        run_schedule(plan(weights, tmp_path / "s", ("macs<=70%", "macs<=50%"), seed=1), resume=True)
    entries = run_schedule(plan(weights, tmp_path / "s", ("macs<=70%", "macs<=50%")), resume=True)
    assert entries[1].ratio.macs <= 0.5


def test_the_command(weights, tmp_path, capsys):
    main(
        [
            "schedule",
            "--model",
            "sartor.demo:DigitsNet",
            "--weights",
            str(weights),
            "--data",
            "digits",
            "--out",
            str(tmp_path / "s"),
            "--stages",
            "macs<=70%",
            "macs<=50%,params<=60%",
            "--episodes",
            "4",
            "--finalists",
            "1",
            "--finetune.epochs",
            "1",
            "--finetune.augment",
            "",
        ]
    )
    printed = capsys.readouterr().out
    assert "stage 2: macs<=50%,params<=60%" in printed
    assert "macs<=50%,params<=60%" in printed.rpartition("stages")[2]
    main(["schedule", "--resume", str(tmp_path / "s")])
    assert "episode" not in capsys.readouterr().out


def test_bad_schedules_are_refused(weights, tmp_path):
    with pytest.raises(UsageError, match="needs the budgets of its stages"):
        plan(weights, tmp_path, ())
    with pytest.raises(UsageError, match="epochs is 0; it must be at least 1"):
        plan(weights, tmp_path, ("macs<=50%",), last=FinetuneChanges(epochs=0))
    with pytest.raises(UsageError, match="a schedule prunes only"):
        plan(weights, tmp_path, ("macs<=50%",), methods=("prune", "quantize"), target="onnxruntime")
    with pytest.raises(UsageError, match=r"the stage 'latency<=0\.5' needs a target"):
        plan(weights, tmp_path, ("latency<=0.5",))
    with pytest.raises(RunError, match="is not the folder of a schedule"):
        schedule.Schedule.read(tmp_path)


def test_a_teacher_that_cannot_teach_is_refused_before_the_first_search(
    weights, tmp_path, monkeypatch
):
    given = plan(weights, tmp_path / "s", ("macs<=50%",))
    with pytest.raises(UsageError, match="resnet20 would teach with random weights"):
        run_schedule(dataclasses.replace(given, teacher=Teacher(("resnet20",))))
    with pytest.raises(WeightsError, match="do not exist"):
        run_schedule(
            dataclasses.replace(
                given, teacher=Teacher(("resnet20",), (tmp_path / "none.safetensors",))
            )
        )
    with pytest.raises(WeightsError, match="does not match it"):
        run_schedule(dataclasses.replace(given, teacher=Teacher(("resnet20",), (weights,))))
    monkeypatch.setattr(
        demo, "few", lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), raising=False
    )
    with pytest.raises(
        UsageError, match=r"the teacher's outputs have shape \(3,\), those of the network \(10,\)"
    ):
        run_schedule(dataclasses.replace(given, teacher=Teacher(("sartor.demo:few",))))
    assert not (tmp_path / "s").exists()
