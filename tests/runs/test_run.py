"""A run as an object: made in Python, known to the command line, read once."""

import json
import shlex
from dataclasses import replace

import pytest
import torch
from torch import nn

import sartor
from sartor.cli import main, parse
from sartor.errors import BudgetError, RunError, UsageError
from sartor.runs import Layout, Run, RunConfig, command_line

NAME = "sartor.demo:DigitsNet"
QUICK = sartor.SearchOptions(
    agent="random",
    episodes=3,
    finalists=1,
    baselines=(),
    reward_images=100,
    compress=sartor.CompressOptions(images=64, final_images=64, positions=8),
)
TUNING = sartor.FinetuneOptions(epochs=1, batch=64)


def test_everything_can_be_done_in_python_with_the_objects_at_hand(model, data, tmp_path):
    result = sartor.compress(model, data, options=QUICK)
    run = result.save(tmp_path / "my runs" / "a")
    assert run.state == "finished"
    assert run.result == result.report
    assert run.policy == result.policy
    assert run.finetuned is None
    assert [episode.number for episode in run.episodes] == [0, 1, 2]

    report = run.finetune(TUNING)
    assert run.finetuned == report
    assert run.latest.folder == run.layout.finetuned
    assert report["validation"]["after"] == report.validation.after >= report.validation.before

    path = run.export("onnx")
    assert run.exports == {"onnx": path}
    verified = run.verify("onnx")
    assert verified.faults == ()
    assert run.verified == (verified,)
    assert verified.found.accuracy == pytest.approx(report.test.after, abs=0.01)

    page = run.report()
    assert page == run.layout.report / "report.html"
    assert "Fine-tuned for 1 epoch" in page.read_text()

    run.export("onnx")
    assert run.verified == (), "what was verified is not there any more"
    assert json.loads(run.layout.result.read_text()) == result.report.to_dict()


def test_a_run_made_in_python_is_one_for_the_command_line(model, data, weights, tmp_path, capsys):
    folder = tmp_path / "my runs" / "a"
    result = sartor.compress(model, data, options=QUICK)
    result.save(folder, model=NAME, weights=weights, data="digits")
    main(["show", str(folder)])
    main(["finetune", str(folder), "--epochs", "1", "--batch", "64"])
    main(["export", str(folder)])
    main(["verify", str(folder)])
    main(["report", str(folder)])
    said = capsys.readouterr().out
    for line in said.splitlines():
        command = line.removeprefix("next: ").strip()
        if command.startswith("sartor "):
            parse(shlex.split(command)[1:])
    again = sartor.load(Run(folder).layout.finetuned)  # built by name: no code of the user's is run
    assert isinstance(again, nn.Module)


def test_what_python_had_as_objects_is_asked_for_in_one_true_sentence(
    model, data, tmp_path, capsys
):
    sartor.compress(model, data, options=QUICK).save(tmp_path)
    run = Run(tmp_path)
    for act in (run.finetune, run.verify, lambda: run.finetune(TUNING)):
        with pytest.raises(RunError, match=r"object|not exist|names no data"):
            act()
    with pytest.raises(RunError, match=r"was made from a network that was an object of Python"):
        run.load()
    with pytest.raises(SystemExit) as stop:
        main(["finetune", str(tmp_path)])
    assert stop.value.code == 1
    assert "--data" in capsys.readouterr().err
    assert Run(tmp_path, model=model, data=data).finetune(TUNING).epochs[0].number == 0


def test_names_can_be_given_where_python_had_objects(model, data, weights, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    run = Run(tmp_path, model=NAME, weights=weights, data="digits")
    assert len(run.episodes) == QUICK.episodes
    assert run.finetune(TUNING).test is not None
    assert run.export().is_file()


def test_the_command_line_takes_names_where_python_had_objects(
    model, data, weights, tmp_path, capsys
):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    names = ["--model", NAME, "--weights", str(weights), "--data", "digits"]
    folder = str(tmp_path)
    main(["finetune", folder, "--epochs", "1", "--batch", "64", *names])
    main(["export", folder, *names])
    main(["verify", folder, *names])
    main(["pick", folder, "--episode", "1", *names])
    assert Run(folder).finetuned.command == command_line(
        "finetune", folder, "--epochs", 1, "--batch", 64, *names
    )
    assert Run(folder).verified[0].faults == ()
    assert (tmp_path / "episode-1" / "model.safetensors").is_file()


def test_a_measure_of_ones_own_leaves_what_needs_no_images(model, tmp_path):
    def evaluate(network):
        return 0.5

    example = torch.zeros(1, 1, 8, 8)
    result = sartor.compress(model, evaluate=evaluate, example_inputs=example, options=QUICK)
    run = result.save(tmp_path)
    assert run.result.best.validation == 0.5
    assert run.result.best.test is None
    assert run.export().is_file()
    for act in (run.finetune, run.verify):
        with pytest.raises(RunError, match=r"names no data, which this needs: .*or with evaluate"):
            act()


def test_names_are_enough(weights, tmp_path):
    result = sartor.compress(NAME, "digits", weights=weights, options=QUICK, out=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.config.model == NAME
    assert run.config.data == "digits"
    words = shlex.split(run.command)
    assert words[:2] == ["sartor", "search"]
    assert parse(words[1:]).search == replace(run.config, threads=None)
    again = run.search(resume=True)
    assert again.policy == result.policy


def test_each_file_is_read_once_until_it_is_refreshed(model, data, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    run = Run(tmp_path)
    before = (run.config, run.result, run.episodes, run.policy)
    for name in ("run.json", "result.json", "episodes.journal", "policy.json"):
        (tmp_path / name).unlink()
    assert (run.config, run.result, run.episodes, run.policy) == before
    run.refresh()
    assert run.result is None
    assert run.episodes == ()
    with pytest.raises(RunError, match=r"run.json does not exist; .* is not the folder of a run"):
        run.config  # noqa: B018


def test_a_search_that_goes_on_has_no_result_yet(model, data, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    content = json.loads(Layout(tmp_path).result.read_text())
    Layout(tmp_path).result.write_text(json.dumps({**content, "episodes": 3}))
    assert Run(tmp_path).state == "finished"
    Layout(tmp_path).result.write_text(json.dumps({**content, "episodes": 2, "interrupted": True}))
    assert Run(tmp_path).state == "unfinished"
    Layout(tmp_path).result.write_text(json.dumps({**content, "interrupted": True}))
    assert Run(tmp_path).state == "interrupted"


def test_saving_an_earlier_result_loses_no_episode(model, data, tmp_path):
    first = sartor.compress(model, data, options=replace(QUICK, episodes=2), out=tmp_path)
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    assert len(first.save(tmp_path).episodes) == 3
    other = sartor.compress(model, data, options=replace(QUICK, seed=1))
    assert other.save(tmp_path).episodes == other.episodes


def test_rows_hold_the_best_reward_so_far(model, data, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    rows = Run(tmp_path).rows()
    rewards = [row["reward"] for row in rows]
    assert [row["best_reward"] for row in rows] == [
        max(rewards[: number + 1]) for number in range(len(rewards))
    ]
    assert [row["episode"] for row in rows] == [0, 1, 2]


def test_resuming_with_another_base_needs_the_same_policy(model, data, tmp_path):
    first = sartor.compress(model, data, budget="macs<=80%", options=QUICK).save(tmp_path / "one")
    same = sartor.compress(model, data, budget="macs<=80%", options=QUICK).save(tmp_path / "two")
    other = sartor.compress(model, data, budget="macs<=60%", options=QUICK).save(tmp_path / "three")
    assert first.policy == same.policy != other.policy

    def search(base, episodes):
        options = replace(QUICK, base=base.folder, episodes=episodes)
        return sartor.compress(model, data, options=options, out=tmp_path / "run")

    search(first, 2)
    assert search(same, 3).report.episodes == 3
    with pytest.raises(RunError, match="policy of the base"):
        search(other, 4)


def test_objects_are_taken_where_names_are(model, data):
    class Fidelity(type(sartor.scoring.rewards.as_reward("fidelity"))):
        name = "mine"

    result = sartor.compress(
        model,
        data,
        options=QUICK,
        agent=sartor.agents.RandomAgent,
        reward=Fidelity(),
    )
    named = sartor.compress(model, data, options=replace(QUICK, agent="uniform"), agent="random")
    assert result.report.reward == "mine"
    assert result.report.agent == "sartor.agents._samplers:RandomAgent"
    assert named.report.agent == "random"
    assert named.policy == result.policy


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        ({"budget": 0.5}, BudgetError, r"budget is 0.5; it must be text such as 'macs<=50%'"),
        ({"budget": {"macs": 0.5}}, BudgetError, r"budget is \{'macs': 0.5\}; it must be text"),
        ({"agent": "evolutionn"}, UsageError, "did you mean 'evolution'"),
        ({"agent": 3}, UsageError, "agent is 3; it must be a name, or what makes an agent"),
        ({"reward": 3}, UsageError, "reward is 3; it must be a name, or an object"),
        ({"reward": "fidelty"}, UsageError, "did you mean 'fidelity'"),
        ({"target": 3}, UsageError, "target is 3; it must be a name, or an object"),
        ({"target": "onnxruntim"}, UsageError, "did you mean 'onnxruntime'"),
        ({"data": 3}, UsageError, "data is a int; allowed are a torch DataLoader or Dataset"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(model, data, wrong, error, sentence):
    with pytest.raises(error, match=sentence):
        sartor.compress(model, **{"data": data, "options": QUICK, **wrong})


def test_models_are_networks_or_names(data):
    with pytest.raises(
        UsageError, match=r"model is a int; it must be a torch.nn.Module, or a name"
    ):
        sartor.compress(3, data)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"methods": "prune"}, r"methods is 'prune'; it must be a list of names, such as"),
        ({"methods": ()}, "methods are empty; allowed are prune, quantize, or both"),
        ({"methods": ("prunes",)}, "methods has 'prunes'; allowed are prune, quantize"),
        ({"state": ["shape"]}, "state has 'shape'; allowed are sensitivity, latency"),
        ({"seed_with": "uniform"}, r"seed_with is 'uniform'; it must be a list of names"),
        ({"baselines": (3,)}, r"baselines is \(3,\); it must be a list of names"),
        ({"max_time": -1.0}, "max_time is -1.0; it must be seconds, at least 0"),
        ({"max_time": float("nan")}, "max_time is nan; it must be seconds, at least 0"),
        ({"episodes": 0}, "episodes is 0; it must be at least 1"),
        ({"granularity": "layers"}, "granularity has 'layers'; allowed are channels, weights"),
        ({"agent": object}, "agent is .*; in options it must be a name"),
    ],
)
def test_options_say_what_is_wrong_with_them(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        sartor.SearchOptions(**options)


def test_the_least_that_options_allow():
    options = sartor.SearchOptions(
        episodes=1, reward_images=1, finalists=1, target_threads=1, max_time=0.0, base="runs/a"
    )
    assert options.base.name == "a"


def test_quantizing_without_a_target_says_what_to_give(model, data):
    with pytest.raises(
        UsageError, match=r"--target onnxruntime, or target='onnxruntime' in Python"
    ):
        sartor.compress(model, data, options=replace(QUICK, methods=("quantize",)))


@pytest.mark.parametrize("hyphen", ["-", "_"])
def test_toml_takes_hyphens_and_underscores(tmp_path, hyphen):
    path = tmp_path / "run.toml"
    key = f"seed{hyphen}with"
    path.write_text(f'budget = "macs<=30%"\n[options]\n{key} = ["greedy"]\n')
    config = RunConfig.from_toml(path)
    assert config.options.seed_with == ("greedy",)
    path.write_text(path.read_text() + 'seed_with = ["uniform"]\n"seed-with" = []\n')
    if hyphen == "-":
        path.write_text("[options]\nseed-with = []\nseed_with = []\n")
        with pytest.raises(UsageError, match="seed_with is given twice"):
            RunConfig.from_toml(path)


def test_commands_can_be_pasted_whatever_the_paths_hold(tmp_path):
    folder = tmp_path / "my runs; rm -rf $HOME"
    config = RunConfig(
        model=NAME, data="my data", out=folder, weights=tmp_path / "it's.safetensors"
    )
    assert parse(shlex.split(config.command)[1:]).search == config
    assert shlex.split(command_line("show", folder)) == ["sartor", "show", str(folder)]
    config.save(folder)
    with pytest.raises(RunError) as error:
        Run(folder).require_result()
    said = str(error.value)
    command = said[said.index("sartor ") :]
    assert shlex.split(command) == ["sartor", "search", "--resume", str(folder)]


def test_a_run_can_be_used_as_a_path(model, data, tmp_path):
    run = sartor.compress(model, data, options=QUICK).save(tmp_path)
    assert isinstance(sartor.load(run, model), nn.Module)
    assert repr(run) == f"Run({str(tmp_path)!r})"


def test_names_of_files_that_picks_have():
    run = Layout(sartor.Run("runs/a").folder)
    assert Layout(run.episode(17)).picked_episode == 17
    assert Layout(run.further).is_further
    assert run.picked_episode is None
    assert not run.is_further
    for name in ("episode-", "episode-x", "episode--1", "17"):
        assert Layout(run.folder / name).picked_episode is None
