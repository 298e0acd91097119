import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.budget import Bound, Budget, Goal, metric_key
from sartor.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "metric", "value", "relative"),
    [
        ("accuracy>=-1%", "accuracy", 0.01, True),
        ("accuracy >= -0.01", "accuracy", 0.01, True),
        ("map>=-0.01", "map", 0.01, True),
        ("mIoU>=-2%", "miou", 0.02, True),
        ("top-1>-0.5%", "top1", 0.005, True),
        ("R²>=0.9", "r2", 0.9, False),
        ("accuracy>=90%", "accuracy", 0.9, False),
        ("accuracy>=1", "accuracy", 1.0, False),
        ("accuracy>=-0%", "accuracy", 0.0, True),
    ],
)
def test_goals_are_read(text, metric, value, relative):
    assert Budget.parse(text) == Budget((), Goal(metric, value, relative))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy>=", "accuracy>=-1%, which is what may be lost"),
        ("accuracy>=+1%", "cannot be read"),
        (">=1%", "cannot be read"),
        ("accuracy>=..%", r"'\.\.' is not a number"),
        ("macs>=50%", r"bounds macs from below; costs have upper bounds, such as macs<=50%"),
        ("latency>=1%", "bounds latency from below"),
        ("accuracy>=0", "asks for nothing; to lose nothing write accuracy>=-0%"),
        ("accuracy>=90", "at most 100 %"),
        ("accuracy>=-1", "lose less than that"),
        ("accuracy>=-1%,map>=0.3", r"goals accuracy>=-1% and map>=30%; allowed is one"),
    ],
)
def test_what_is_no_goal_is_refused(text, message):
    with pytest.raises(BudgetError, match=message):
        Budget.parse(text)


def test_bounds_stand_beside_a_goal():
    budget = Budget.parse("size<=100%, accuracy>=-1%,macs<=50%")
    assert budget.goal == Goal("accuracy", 0.01, relative=True)
    assert [bound.quantity for bound in budget.bounds] == ["size", "macs"]
    assert str(budget) == "accuracy>=-1%,size<=100%,macs<=50%"
    assert budget.without_latency() == Budget(budget.bounds)
    tighter = budget.with_ceiling("macs", 0.3)
    assert tighter == Budget((*budget.bounds, Bound("macs", 0.3, relative=True)))
    assert tighter.ceiling("macs", original=10.0) == 0.3


def test_what_is_lost_is_held_against_the_original():
    assert Goal("accuracy", 0.25, relative=True).floor(0.75) == 0.5
    assert Goal("accuracy", 0.25, relative=False).floor(0.75) == 0.25


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.booleans())
def test_a_goal_is_printed_as_it_is_read(value, relative):
    budget = Budget((), Goal("accuracy", value, relative))
    assert Budget.parse(str(budget)) == budget


def test_metrics_are_named_without_signs():
    assert metric_key("macro AP") == "macroap"
