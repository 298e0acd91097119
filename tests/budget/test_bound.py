import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.budget import QUANTITIES, Bound, Budget
from sartor.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "quantity", "value", "relative"),
    [
        ("macs<=50%", "macs", 0.5, True),
        ("macs<=0.5", "macs", 0.5, True),
        ("macs<50%", "macs", 0.5, True),
        ("MACs <= 57 %", "macs", 0.57, True),
        ("macs<=100%", "macs", 1.0, True),
        ("macs<=1", "macs", 1.0, True),
        ("macs<=1.0", "macs", 1.0, True),
        ("latency<=1", "latency", 1.0, True),
        ("size<=1", "size", 1.0, True),
        ("size<=1B", "size", 1.0, False),
        ("params<=0.001K", "params", 1.0, False),
        ("params <= 300K", "params", 300e3, False),
        ("params<=101", "params", 101.0, False),
        ("macs<=62.5M", "macs", 62.5e6, False),
        ("bops<=1.2e9", "bops", 1.2e9, False),
        ("bops<=1.2g", "bops", 1.2e9, False),
        ("size<=500KB", "size", 500e3, False),
        ("size<=500k", "size", 500e3, False),
        ("size<=2MB", "size", 2e6, False),
        ("size<=2GB", "size", 2e9, False),
        ("size<=3KiB", "size", 3072.0, False),
        ("size<=1MiB", "size", 1048576.0, False),
        ("size<=1GiB", "size", 1073741824.0, False),
        ("latency<=4ms", "latency", 0.004, False),
        ("latency<=250us", "latency", 0.00025, False),
        ("latency<=1.5s", "latency", 1.5, False),
    ],
)
def test_bounds_are_read_to_the_last_bit(text, quantity, value, relative):
    assert Budget.parse(text).bounds == (Bound(quantity, value, relative),)


def test_several_bounds_hold_at_once():
    budget = Budget.parse("macs<=50%, params<=300K")
    assert [bound.limit(1e6) for bound in budget.bounds] == [5e5, 3e5]
    assert Budget.parse("  ").bounds == ()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("params<=1234567", "params<=1.234567M"),
        ("params<=300K", "params<=300K"),
        ("params<=999", "params<=999"),
        ("params<=1000", "params<=1K"),
        ("params<=0.1K", "params<=0.1K"),
        ("params<=0.101K", "params<=101"),
        ("macs<=0.0007K", "macs<=0.0007K"),
        ("bops<=1.2e12", "bops<=1200G"),
        ("size<=1B", "size<=1B"),
        ("size<=0.5KB", "size<=500B"),
        ("size<=1MiB", "size<=1.048576MB"),
        ("latency<=2s", "latency<=2s"),
        ("latency<=0.1us", "latency<=0.1us"),
        ("latency<=4ms", "latency<=4ms"),
        ("latency<=0.3", "latency<=30%"),
        ("macs<=57%,size<=0.1%", "macs<=57%,size<=0.1%"),
    ],
)
def test_a_budget_prints_with_the_largest_unit(text, printed):
    assert str(Budget.parse(text)) == printed


positive = st.floats(1e-12, 1e15, exclude_min=True)


@given(st.sampled_from([*QUANTITIES, "latency"]), positive)
def test_every_absolute_bound_prints_as_it_is_read(quantity, value):
    budget = Budget((Bound(quantity, value, relative=False),))
    assert Budget.parse(str(budget)) == budget


@given(st.sampled_from([*QUANTITIES, "latency"]), st.floats(1e-12, 1))
def test_every_relative_bound_prints_as_it_is_read(quantity, value):
    budget = Budget((Bound(quantity, value, relative=True),))
    assert Budget.parse(str(budget)) == budget


@given(
    st.sampled_from(
        [
            *(
                f"{quantity}<={{}}{unit}"
                for quantity in QUANTITIES
                for unit in ("K", "M", "G", "%")
            ),
            *(f"size<={{}}{unit}" for unit in ("B", "KB", "MB", "GB", "KiB", "MiB", "GiB")),
            *(f"latency<={{}}{unit}" for unit in ("s", "ms", "us", "%")),
        ]
    ),
    st.decimals(min_value="0.0001", max_value=100, places=4),
)
def test_every_unit_prints_as_it_is_read(pattern, number):
    budget = Budget.parse(pattern.format(number))
    assert Budget.parse(str(budget)) == budget


def test_the_tightest_bound_on_latency_depends_on_the_original():
    budget = Budget.parse("latency<=50%,latency<=4ms,macs<=1e9")
    assert budget.bounds_latency
    assert budget.ceiling("latency", 0.005) == 0.5
    assert budget.ceiling("latency", 0.1) == pytest.approx(0.04)
    assert budget.ceiling("size", 1e6) is None
    assert str(budget.without_latency()) == "macs<=1G"
    assert not budget.without_latency().bounds_latency


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs", "budget 'macs' cannot be read; write for instance macs<=50%"),
        ("macs>=50%", "bounds macs from below; costs have upper bounds, such as macs<=50%"),
        ("macs<=50%,", "budget '' cannot be read"),
        ("macs<=-5", "cannot be read"),
        (0.5, "budget '0.5' cannot be read"),
        ("watts<=5", "bounds 'watts'; allowed are macs, params, size, bops, latency"),
        ("flops<=50%", "bounds 'flops'; did you mean 'macs'"),
        ("latncy<=50%", "bounds 'latncy'; did you mean 'latency'"),
        ("macs<=5X", "has the unit 'X'; allowed are %, K, M, G$"),
        ("macs<=5KB", "has the unit 'KB'"),
        ("latency<=5K", "has the unit 'K'; allowed are %, us, ms, s$"),
        ("latency<=5", "needs a unit; allowed are %, us, ms, s, or a fraction up to 1"),
        ("macs<=50", "bounds 50 MACs; for a share of the original write macs<=50%, else a unit: K"),
        ("size<=100", "bounds 100 bytes; for a share of the original write size<=100%"),
        ("params<=1.5", "bounds 1.5 parameters"),
        ("bops<=2e1", "bounds 20 BOPs"),
        ("macs<=0%", "must lie above 0"),
        ("macs<=0", "must lie above 0"),
        ("macs<=150%", "at most 100 %"),
        ("macs<=100.001%", "at most 100 %"),
        ("macs<=1e999", "be finite"),
        ("macs<=1e9999999K", "be finite"),
        ("macs<=1.2.3", "'1.2.3' is not a number"),
    ],
)
def test_other_text_is_refused_by_name(text, message):
    with pytest.raises(BudgetError, match=message) as caught:
        Budget.parse(text)
    assert caught.value.smallest == {}


def test_an_absolute_bound_does_not_depend_on_the_original():
    assert Bound("macs", 5.0, relative=False).limit(math.inf) == 5.0
