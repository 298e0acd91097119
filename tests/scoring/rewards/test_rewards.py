import math
import subprocess
import sys

import pytest

from sartor.cost import Cost
from sartor.errors import UsageError
from sartor.registry import Registry
from sartor.scoring import Outcome
from sartor.scoring.rewards import REWARDS, Reward, as_reward

COST = Cost(macs=1000, params=200, size=800, bops=1)


def outcome(relative_latency=None, divergence=0.3, cost=COST):
    return Outcome(0.9, 100, False, cost, divergence=divergence, relative_latency=relative_latency)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", -0.1),
        ("accuracy-macs", -0.1 * math.log(1000)),
        ("accuracy-params", -0.1 * math.log(200)),
        ("fidelity", -0.3),
        ("fidelity-macs", -0.3 * math.log(1000)),
        ("fidelity-params", -0.3 * math.log(200)),
    ],
)
def test_rewards_without_a_bound_on_latency(name, expected):
    assert REWARDS.get(name)(outcome(), None) == pytest.approx(expected)
    assert REWARDS.get(name)(outcome(0.5), None) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("accuracy", 0.9 / 1.25 - 1), ("fidelity", -0.3 - 0.25)],
)
def test_what_is_a_quarter_too_slow_is_worse_by_as_much(name, expected):
    assert REWARDS.get(name)(outcome(0.5), 0.4) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["accuracy", "fidelity"])
def test_being_faster_than_asked_earns_nothing(name):
    reward = REWARDS.get(name)
    assert reward(outcome(0.2), 0.4) == reward(outcome(0.4), 0.4) == reward(outcome(None), 0.4)


@pytest.mark.parametrize(
    ("relative", "expected"),
    [(0.4, 0.9), (0.5, 0.9 - 3 * 0.25), (0.3, 0.9 - 3 * 0.25), (0.8, 0.9 - 3)],
)
def test_the_absolute_reward_counts_what_is_missed_on_either_side(relative, expected):
    assert REWARDS.get("absolute")(outcome(relative), 0.4) == pytest.approx(expected)


@pytest.mark.parametrize(("relative", "ceiling"), [(None, 0.4), (0.4, None)])
def test_the_absolute_reward_needs_a_measured_latency_and_a_bound(relative, ceiling):
    with pytest.raises(UsageError, match="reward 'absolute' needs a budget on latency"):
        REWARDS.get("absolute")(outcome(relative), ceiling)


@pytest.mark.parametrize("name", ["fidelity", "fidelity-macs", "fidelity-params"])
def test_fidelity_needs_images(name):
    with pytest.raises(UsageError, match="compares outputs on images"):
        REWARDS.get(name)(outcome(divergence=None), None)


@pytest.mark.parametrize("name", ["accuracy-macs", "fidelity-params"])
def test_networks_of_next_to_nothing_have_a_logarithm(name):
    tiny = Cost(macs=0, params=1, size=4, bops=0)
    assert REWARDS.get(name)(outcome(cost=tiny), None) < 0


def test_facts_of_every_reward():
    facts = {
        name: (reward.can_race, reward.needs_images, reward.needs_latency, reward.enforces_budget)
        for name, reward in ((name, REWARDS.get(name)) for name in REWARDS)
    }
    assert facts == {
        "accuracy": (True, False, False, True),
        "accuracy-macs": (False, False, False, True),
        "accuracy-params": (False, False, False, True),
        "fidelity": (True, True, False, True),
        "fidelity-macs": (False, True, False, True),
        "fidelity-params": (False, True, False, True),
        "absolute": (False, False, True, False),
    }


def test_every_reward_calls_itself_what_the_registry_does():
    assert [REWARDS.get(name).name for name in REWARDS] == list(REWARDS)


def test_objects_are_taken_as_they_are_and_unknown_names_refused():
    class Constant(Reward):
        name = "constant"

        def __call__(self, outcome, ceiling):
            return 1.0

    mine = Constant()
    assert as_reward(mine) is mine
    assert (mine.can_race, mine.needs_images, mine.needs_latency) == (False, False, False)
    assert mine.enforces_budget
    assert as_reward("accuracy") is REWARDS.get("accuracy")
    expected = r"reward 'fidelty' is not known; did you mean 'fidelity'\?"
    with pytest.raises(UsageError, match=expected):
        as_reward("fidelty")
    assert isinstance(REWARDS, Registry)


def test_listing_names_needs_no_torch():
    code = (
        "import sys, sartor.agents; from sartor.scoring.rewards import REWARDS; "
        "print(list(REWARDS), list(sartor.agents.AGENTS), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("False")
