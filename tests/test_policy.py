import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.errors import PolicyError
from sartor.policy import Policy, kept_count

ratios = st.dictionaries(st.text(min_size=1), st.floats(0, 1, exclude_min=True))


@given(ratios, ratios)
def test_any_policy_survives_json(channels, weights):
    policy = Policy(channels, weights)
    assert Policy.from_json(policy.to_json()) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "my.json is not JSON"),
        ('{"schema": 9}', "is not a policy of schema 1"),
        ('{"schema": 1, "bits": {}}', r"unexpected content \['bits'\]"),
        (
            '{"schema": 1, "channels": {"a": 1.5}}',
            r"keep ratio 1.5 of channels\['a'\] is not in \(0, 1\]",
        ),
        ('{"schema": 1, "weights": {"a": "x"}}', "keep ratio 'x' of weights"),
    ],
)
def test_what_is_no_policy_is_refused(text, message):
    with pytest.raises(PolicyError, match=message):
        Policy.from_json(text, "my.json")


@given(st.floats(1e-6, 1), st.integers(1, 2048))
def test_something_is_always_kept(ratio, size):
    assert 1 <= kept_count(ratio, size) <= size
