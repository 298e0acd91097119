import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import sartor
import topologies
from listening import to_episodes
from sartor import demo
from sartor.agents import AGENTS
from sartor.cost import Cost
from sartor.errors import BudgetError, RunError, UsageError
from sartor.machine import Step
from sartor.runs import Run, RunConfig
from sartor.scoring import Outcome
from sartor.scoring.rewards import REWARDS
from sartor.search import EpisodeScored, Study
from sartor.search._interruption import Interruption

EPISODES_FILE = "episodes.journal"

QUICK = sartor.SearchOptions(
    episodes=8, finalists=2, compress=sartor.CompressOptions(images=16, final_images=32)
)


@pytest.mark.parametrize("agent", AGENTS.names)
def test_every_agent_meets_the_budget_and_is_deterministic(agent, model, data):
    options = dataclasses.replace(QUICK, agent=agent, reward="fidelity", seed_with=("knapsack",))
    first, second = (
        sartor.compress(model, data, budget="macs<=50%", options=options) for _ in range(2)
    )
    assert 0.45 < first.report["best"]["ratio"]["macs"] <= 0.5
    assert first.policy == second.policy
    assert first.report["best"]["validation"] == second.report["best"]["validation"]


def test_galens_agent_needs_a_latency_or_a_reward_that_enforces_the_budget(model, data):
    options = dataclasses.replace(QUICK, agent="galen")
    with pytest.raises(UsageError, match="reward 'absolute' needs a budget on latency"):
        sartor.compress(model, data, budget="macs<=50%", options=options)


def test_the_report_tells_the_truth_about_the_delivered_network(model, data, tmp_path):
    result = sartor.compress(model, data, budget="params<=60%", options=QUICK)
    best = result.report["best"]
    assert best["params"] == sum(parameter.numel() for parameter in result.model.parameters())
    for name, images in (("validation", data.validation), ("test", data.test)):
        with torch.no_grad():
            right = (result.model(images.normalized()).argmax(1) == images.labels).float().mean()
        assert best[name] == pytest.approx(float(right), abs=1e-6)
    again = sartor.load(result.save(tmp_path / "out"), demo.DigitsNet())
    with torch.no_grad():
        assert torch.equal(again(data.test.normalized()), result.model(data.test.normalized()))
    assert json.loads((tmp_path / "out/result.json").read_text()) == result.report.to_dict()
    assert sartor.Policy.from_json((tmp_path / "out/policy.json").read_text()) == result.policy


@pytest.mark.parametrize("reward", ["accuracy-macs", "accuracy-params"])
def test_accuracy_guaranteed_rewards_need_no_budget(reward, model, data):
    result = sartor.compress(
        model, data, budget="", options=dataclasses.replace(QUICK, reward=reward)
    )
    assert result.report["budget"] == ""
    outcome = Outcome(
        0.9, 100, False, Cost(macs=1000, params=200, size=800, bops=1), divergence=0.3
    )
    loss, counted = {"accuracy": 0.1, "fidelity": 0.3}, {"macs": 1000, "params": 200}
    quality, cost = reward.split("-")
    assert REWARDS.get(reward)(outcome, None) == pytest.approx(
        -loss[quality] * math.log(counted[cost])
    )


def test_fine_grained_search_removes_single_weights(model, data):
    options = dataclasses.replace(QUICK, granularity="weights", seed_with=("uniform", "knapsack"))
    result = sartor.compress(model, data, budget="params<=40%", options=options)
    nonzero = sum(
        int((parameter != 0).sum())
        for name, parameter in result.model.named_parameters()
        if parameter.dim() > 1
    )
    others = sum(
        parameter.numel() for parameter in result.model.parameters() if parameter.dim() == 1
    )
    assert nonzero + others == result.report["best"]["params"]
    assert result.report["best"]["ratio"]["params"] <= 0.4


def test_any_module_with_any_measure():
    model = topologies.randomized(topologies.TwoInputsTwoOutputs())
    inputs = topologies.example_inputs(topologies.TwoInputsTwoOutputs)
    calls = []

    def evaluate(network):
        calls.append(network)
        return 1 / (
            1 + float((network(*inputs)["mask"] - model(*inputs)["mask"]).detach().square().mean())
        )

    result = sartor.compress(
        model, budget="macs<=60%", evaluate=evaluate, example_inputs=inputs, options=QUICK
    )
    assert result.report["best"]["ratio"]["macs"] <= 0.6
    assert result.report["best"]["test"] is None
    assert len(calls) >= 5


def test_compress_needs_something_to_measure_with(model):
    with pytest.raises(UsageError, match="needs data, or both evaluate and example_inputs"):
        sartor.compress(model)


def test_a_budget_that_cannot_be_met_is_refused_before_any_episode(model, data, tmp_path):
    with pytest.raises(
        BudgetError, match="cannot be met: the smallest reachable value is params<="
    ):
        sartor.compress(model, data, budget="params<=0.01K", options=QUICK, out=tmp_path)
    assert not (tmp_path / EPISODES_FILE).exists()


def command(weights, out, episodes=40):
    options = {
        "model": "sartor.demo:DigitsNet",
        "weights": weights,
        "data": "digits",
        "budget": "macs<=50%",
        "episodes": episodes,
        "images": 32,
        "final-images": 64,
        "threads": 1,
        "out": out,
    }
    return [
        sys.executable,
        "-m",
        "sartor",
        "search",
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_kill_and_resume_equals_an_uninterrupted_run(weights, tmp_path):
    subprocess.run(
        command(weights, tmp_path / "whole"), check=True, capture_output=True, timeout=240
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen(command(weights, killed), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while lines(killed / EPISODES_FILE) < 15 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 15 <= lines(killed / EPISODES_FILE) < lines(tmp_path / "whole" / EPISODES_FILE)
    assert not (killed / "result.json").exists()
    with (killed / EPISODES_FILE).open("ab") as file:
        file.write(b'{"op_code": 4, "half a li')  # what a kill in the middle of a write leaves
    subprocess.run(
        [sys.executable, "-m", "sartor", "search", "--resume", str(killed)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    whole, resumed = (
        Study(folder / EPISODES_FILE).episodes() for folder in (tmp_path / "whole", killed)
    )
    assert [e.executed for e in whole] == [e.executed for e in resumed]
    assert [e.outcome.accuracy for e in whole] == [e.outcome.accuracy for e in resumed]
    reports = [
        json.loads((folder / "result.json").read_text()) for folder in (tmp_path / "whole", killed)
    ]
    assert reports[0]["policy"] == reports[1]["policy"]
    assert reports[0]["best"] == reports[1]["best"]


def test_ctrl_c_delivers_the_best_so_far(weights, tmp_path):
    process = subprocess.Popen(
        command(weights, tmp_path / "run", 4000), stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while lines(tmp_path / "run" / EPISODES_FILE) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "go on with: sartor search --resume" in output
    report = json.loads((tmp_path / "run/result.json").read_text())
    assert report["interrupted"]
    assert report["best"]["ratio"]["macs"] <= 0.5


def test_the_first_ctrl_c_waits_for_the_episode_and_the_second_does_not():
    """What Python calls is called here.

    A signal sent where other threads run may be handled a moment too late for the test.
    """
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        ctrl_c = signal.getsignal(signal.SIGINT)
        assert callable(ctrl_c)
        ctrl_c(signal.SIGINT, None)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            ctrl_c(signal.SIGINT, None)
    assert signal.getsignal(signal.SIGINT) is before


def test_two_searches_in_one_folder_are_refused(model, data, tmp_path):
    def search_there(episode, best):
        with pytest.raises(RunError, match="another process is searching in"):
            sartor.compress(model, data, options=QUICK, out=tmp_path)

    sartor.compress(model, data, options=QUICK, out=tmp_path, progress=to_episodes(search_there))
    assert len(Study(tmp_path / EPISODES_FILE).episodes()) == QUICK.episodes


def test_a_search_that_is_refused_touches_nothing(weights, tmp_path):
    first = RunConfig(
        model="sartor.demo:DigitsNet",
        weights=weights,
        data="digits",
        budget="macs<=50%",
        out=tmp_path,
        options=QUICK,
    )

    def search_there(episode, best):
        with pytest.raises(RunError, match="another process is searching in"):
            Run.of(dataclasses.replace(first, budget="macs<=20%")).search(resume=True)

    Run.of(first).search(to_episodes(search_there))
    assert Run(tmp_path).config.budget == "macs<=50%"


def test_a_measure_of_the_users_gets_a_copy(model, data):
    def spoil(network):
        for parameter in network.parameters():
            parameter.data.zero_()
        return 0.5

    example = data.calibration.normalized()[:1]
    options = dataclasses.replace(QUICK, reward="accuracy")
    result = sartor.compress(model, evaluate=spoil, example_inputs=example, options=options)
    assert any(bool((parameter != 0).any()) for parameter in result.model.parameters())
    with pytest.raises(
        UsageError, match=r"evaluate\(model\) returned None; it must return a number from 0 to 1"
    ):
        sartor.compress(
            model, evaluate=lambda network: None, example_inputs=example, options=options
        )


def test_ctrl_c_while_what_was_recorded_is_replayed_leaves_what_was_delivered(
    model, data, tmp_path
):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    before = {
        name: (tmp_path / name).read_bytes()
        for name in ("result.json", "policy.json", "model.safetensors")
    }

    def break_off(episode, best):
        if episode.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sartor.compress(model, data, options=QUICK, out=tmp_path, progress=to_episodes(break_off))
    assert before == {name: (tmp_path / name).read_bytes() for name in before}

    def press_once(episode, best):
        if episode.number == 1:
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)

    assert sartor.compress(
        model, data, options=QUICK, out=tmp_path, progress=to_episodes(press_once)
    ).stopped
    assert json.loads((tmp_path / "result.json").read_text())["episodes"] == QUICK.episodes


def test_a_last_episode_that_was_broken_off_is_still_to_come(model, data):
    def break_off(episode, best):
        if episode.number == QUICK.episodes - 1:
            raise KeyboardInterrupt

    report = sartor.compress(model, data, options=QUICK, progress=to_episodes(break_off)).report
    assert report["episodes"] == QUICK.episodes - 1
    assert report["interrupted"]


def test_the_time_limit_ends_a_search(model, data):
    result = sartor.compress(
        model, data, options=dataclasses.replace(QUICK, episodes=10_000, max_time=2.0)
    )
    assert 1 <= result.report["episodes"] < 10_000


def test_a_record_of_another_seed_cannot_be_continued(model, data, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    with pytest.raises(
        RunError,
        match=r"episodes.journal is of a search with seed 0, not 1; go on with the same, or anew",
    ):
        sartor.compress(model, data, options=dataclasses.replace(QUICK, seed=1), out=tmp_path)
    with pytest.raises(RunError, match="is of a search with reward fidelity, not accuracy-macs"):
        sartor.compress(
            model, data, options=dataclasses.replace(QUICK, reward="accuracy-macs"), out=tmp_path
        )
    with pytest.raises(RunError, match="is of a search with budget macs<=50%, not macs<=40%"):
        sartor.compress(model, data, budget="macs<=40%", options=QUICK, out=tmp_path)
    longer = dataclasses.replace(QUICK, episodes=QUICK.episodes + 1, finalists=1)
    assert (
        sartor.compress(model, data, options=longer, out=tmp_path).report["episodes"]
        == longer.episodes
    )


def test_a_record_of_another_network_cannot_be_continued(model, data, tmp_path):
    sartor.compress(model, data, options=QUICK, out=tmp_path)
    other = topologies.randomized(demo.DigitsNet())
    anyway = dataclasses.replace(QUICK, anyway=True)
    with pytest.raises(RunError, match=r"probes.json holds probes of another network"):
        sartor.compress(other, data, options=anyway, out=tmp_path)

    (tmp_path / "probes.json").unlink()
    with pytest.raises(RunError, match=r"episode \d of the record cannot be replayed"):
        sartor.compress(other, data, options=anyway, out=tmp_path)


class Normalised(torch.nn.Module):
    """Divides features by their length, which is 0 where little of what feeds them is left."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(1, 8, 3), torch.nn.Conv2d(8, 4, 3)
        self.linear = torch.nn.Linear(4, 10)
        with torch.no_grad():
            for layer in (self.first, self.second):
                layer.weight.abs_()
            self.first.bias.zero_()
            self.second.bias.fill_(-1.5)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x.abs())))).mean((2, 3))
        return self.linear(x / x.norm(dim=1, keepdim=True))


def test_candidates_that_give_no_numbers_are_wrong_and_end_nothing(data, tmp_path):
    changes = sartor.CompressOptions(images=16, final_images=32, refit="none")
    options = dataclasses.replace(
        QUICK, min_keep=0.1, agent="random", anyway=True, compress=changes
    )
    result = sartor.compress(Normalised(), data, budget="macs<=20%", options=options, out=tmp_path)
    episodes = Study(tmp_path / EPISODES_FILE).episodes()
    assert result.report["episodes"] == len(episodes) == options.episodes
    assert any(
        episode.outcome.accuracy == 0 and episode.outcome.divergence == 100 for episode in episodes
    )


def test_ranking_and_probing_are_said_when_the_first_rule_asks_for_errors(model, data):
    events = []
    options = dataclasses.replace(QUICK, episodes=3)
    sartor.compress(model, data, budget="macs<=50%", options=options, progress=events.append)
    told = [event for event in events if isinstance(event, EpisodeScored) or _is_about(event)]
    assert isinstance(told[0], EpisodeScored), "uniform needs no errors"
    assert told[1] == Step("ranking")
    assert {event.phase for event in told[2:] if _is_about(event)} == {"probing"}


def _is_about(event):
    return isinstance(event, Step) and event.phase in ("ranking", "probing")
