import pytest

from sartor.budget import Bound, Budget
from sartor.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macs<=50%", Bound("macs", 0.5, True)),
        ("macs<=0.5", Bound("macs", 0.5, True)),
        ("params <= 300K", Bound("params", 300e3, False)),
        ("size<=500KB", Bound("size", 500e3, False)),
        ("size<=1MiB", Bound("size", 2**20, False)),
        ("macs<=62.5M", Bound("macs", 62.5e6, False)),
        ("bops<=1.2e9", Bound("bops", 1.2e9, False)),
    ],
)
def test_bounds_are_read(text, expected):
    (bound,) = Budget.parse(text).bounds
    assert (bound.quantity, bound.relative) == (expected.quantity, expected.relative)
    assert bound.value == pytest.approx(expected.value)


def test_several_bounds_hold_at_once_and_print_as_they_are_read():
    budget = Budget.parse("macs<=50%,params<=300K")
    assert Budget.parse(str(budget)) == budget
    assert [bound.limit(1e6) for bound in budget.bounds] == [5e5, 3e5]
    assert Budget.parse("").bounds == ()


@pytest.mark.parametrize(
    "text", ["latency<=4ms", "latency<=250us", "latency<=1.5s", "latency<=30%", "size<=500KB"]
)
def test_every_bound_prints_as_it_is_read(text):
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


def test_the_tightest_bound_on_latency_depends_on_the_original():
    budget = Budget.parse("latency<=50%,latency<=4ms,macs<=1e9")
    assert budget.bounds_latency
    assert budget.ceiling("latency", 0.005) == pytest.approx(0.5)
    assert budget.ceiling("latency", 0.1) == pytest.approx(0.04)
    assert budget.ceiling("size", 1e6) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs", "cannot be read"),
        ("macs>=50%", "cannot be read"),
        ("watts<=5", "bounds 'watts'; allowed are macs, params, size, bops"),
        ("macs<=5X", "has the unit 'X'"),
        ("macs<=0%", "must lie above 0"),
        ("macs<=150%", "at most 100 %"),
        ("macs<=1.2.3", "is not a number"),
    ],
)
def test_other_text_is_refused_by_name(text, message):
    with pytest.raises(BudgetError, match=message):
        Budget.parse(text)
