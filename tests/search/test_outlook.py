"""A search that ends when it promises too little."""

import dataclasses

import pytest

import sartor
from sartor.errors import UsageError
from sartor.search import EpisodeScored, Outlook

QUICK = sartor.SearchOptions(
    agent="random",
    finalists=1,
    baselines=(),
    timed=False,
    repair="fit",
    compress=sartor.CompressOptions(images=8, final_images=16),
)


@pytest.mark.parametrize(
    ("best", "own", "wanted"),
    [
        ([-1.0] * 30, 29, None),
        ([-1.0] * 30, 30, Outlook(0.0, 30)),
        ([-1.0, -1.0, *[-0.9] * 29], 30, Outlook(pytest.approx(0.1), 30)),
        # Of many episodes a third is looked back at: what was gained before does not count.
        ([-1.0] * 60 + [-0.5] * 31 + [-0.45] * 29, 120, Outlook(pytest.approx(0.1), 40)),
        # What is perfect cannot be relative to anything.
        ([0.0] * 40, 40, Outlook(0.0, 30)),
        ([0.0] * 10 + [0.2] * 30, 40, Outlook(pytest.approx(0.2), 30)),
    ],
)
def test_it_is_what_the_last_third_gained(best, own, wanted):
    assert Outlook.after(best, own) == wanted


def test_a_search_ends_when_it_promises_too_little(model, data):
    seen = []

    def listen(event):
        if isinstance(event, EpisodeScored):
            seen.append(event)

    def searched(**options):
        seen.clear()
        options = dataclasses.replace(QUICK, **options)
        return sartor.compress(model, data, budget="macs<=50%", options=options, progress=listen)

    # Nothing promises ten times the reward.
    result = searched(worth=10.0)
    assert len(result.episodes) == len(QUICK.seed_with) + 30
    assert not result.report.interrupted
    assert seen[-1].outlook.episodes == 30
    assert seen[-2].outlook is None
    assert seen[-1].total == 300
    # A number of episodes is a number of episodes.
    assert len(searched(worth=10.0, episodes=36).episodes) == 36


def test_it_ends_where_it_ended_when_it_is_resumed(model, data, tmp_path):
    options = dataclasses.replace(QUICK, worth=10.0)

    def searched(out):
        return sartor.compress(model, data, budget="macs<=50%", options=options, out=out)

    first = searched(tmp_path)
    again = searched(tmp_path)
    assert again.episodes == first.episodes
    assert again.policy == first.policy


def test_a_rule_is_asked_once(model, data):
    options = dataclasses.replace(QUICK, agent="knapsack", seed_with=())
    assert len(sartor.compress(model, data, options=options).episodes) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"episodes": 0}, "^episodes is 0; it must be at least 1"),
        ({"worth": -0.1}, "^worth is -0.1; it must be at least 0, such as 0.02"),
        ({"worth": float("nan")}, "^worth is nan; it must be at least 0"),
    ],
)
def test_wrong_options_are_refused(wrong, says):
    with pytest.raises(UsageError, match=says):
        sartor.SearchOptions(**wrong)
