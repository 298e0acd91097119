"""The typed content of ``result.json``."""

import json
from dataclasses import replace

import pytest

from sartor.errors import RunError
from sartor.graph import KeptWhole
from sartor.pipeline import Entry, EpisodeSeconds, LayerEntry, Layers, Ratio, Report
from sartor.policy import Policy
from sartor.targets import Comparison, Description, Latency, Support

ORIGINAL = Entry(0.9, 0.875, 1000, 100, 400, 1_024_000, None, Ratio(1.0, 1.0, 1.0, 1.0))
LATENCY = Comparison(0.5, 0.45, 0.55, Latency(1e-3, 9e-4, 11e-4, 7), Latency(2e-3, 1e-3, 3e-3, 7))
BEST = replace(
    ORIGINAL, validation=0.85, macs=250, ratio=Ratio(0.25, 0.5, 0.5, 0.25), latency=LATENCY
)
LAYER = LayerEntry("conv", "conv", 3, 16, 1000, 1.0, 32, 32, None)


def a_report() -> Report:
    return Report(
        budget="macs<=25%",
        budget_enforced=True,
        budget_met=True,
        latency_ceiling=None,
        agent="evolution",
        seed_with=("uniform", "greedy"),
        reward="fidelity",
        methods=("prune",),
        state=(),
        granularity="channels",
        seed=3,
        target=Description("fake", "cpu", "none 1", 1, {"conv": Support(((32, 32), (8, 8)))}),
        latency_prediction_error=0.25,
        latencies_unsettled=0,
        baselines={"uniform": ORIGINAL},
        original=ORIGINAL,
        best=BEST,
        layers=Layers((LAYER,), (replace(LAYER, out_channels=4, seconds=0.5),)),
        episodes=2,
        interrupted=False,
        seconds=1.5,
        seconds_per_episode=EpisodeSeconds(1.0, 0.25, 0.25, 0.0, 0.25, 0.25, 1.0),
        policy=Policy(channels={"conv": 0.25}, weight_bits={"conv": 8}),
        kept_whole=(KeptWhole("head", 10, "output"),),
        unknown_operators=(),
        versions={"sartor": "0", "torch": "2"},
    )


def test_json_gives_the_same_report_back():
    report = a_report()
    text = report.to_json()
    assert Report.from_json(text) == report
    assert Report.from_json(text).to_json() == text


def test_names_give_what_the_file_holds():
    report = a_report()
    content = json.loads(report.to_json())
    assert {name: report[name] for name in content} == content
    assert report["schema"] == 1
    assert report["best"]["ratio"]["macs"] == report.best.ratio.macs == 0.25
    assert report["best"]["latency"]["candidate"]["median_s"] == 1e-3
    assert report["policy"]["schema"] == 1
    with pytest.raises(KeyError, match="worst"):
        report["worst"]


def test_networks_come_in_the_order_of_tables():
    assert list(a_report().networks) == ["original", "uniform", "found"]
    assert a_report().networks["found"] == BEST


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(a_report().to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", r"here is not JSON: .*"),
        ("[]", "here is not a report of schema 1; another version wrote it"),
        (changed(schema=2), "here is not a report of schema 1; another version wrote it"),
        (changed(worst=1), r"here: unknown key 'worst'; allowed are agent, .*"),
        (changed(episodes="2"), "here: episodes is '2'; it must be of type int"),
        (changed(episodes=True), "here: episodes is True; it must be of type int"),
        (changed(layers=[]), r"here: layers is \[\]; it must be a table"),
        (changed(layers={"original": []}), "here: layers lacks the key 'best'"),
        (changed(methods="prune"), "here: methods is 'prune'; it must be a list"),
    ],
)
def test_what_is_no_report_is_refused_in_one_sentence(text, sentence):
    with pytest.raises(RunError, match=f"^{sentence}$"):
        Report.from_json(text, "here")


def test_missing_keys_are_named():
    content = json.loads(a_report().to_json())
    del content["budget_met"]
    with pytest.raises(RunError, match=r"^report lacks the key 'budget_met'$"):
        Report.from_json(json.dumps(content))
