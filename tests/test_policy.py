import math

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
        ("[]", "is not a policy of schema 1"),
        ("{}", "is not a policy of schema 1"),
        (
            '{"schema": 1, "channels": 3}',
            r"unexpected content \[3\]; allowed are channels, weights",
        ),
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


@pytest.mark.parametrize(
    ("ratio", "size", "count"),
    [(0.3, 16, 5), (0.5, 3, 2), (0.5, 5, 2), (0.01, 16, 1), (1.0, 16, 16), (2.0, 16, 16)],
)
def test_the_nearest_whole_number_is_kept(ratio, size, count):
    """Halves are rounded to even."""
    assert kept_count(ratio, size) == count


@pytest.mark.parametrize("kind", ["channels", "weights"])
@pytest.mark.parametrize("ratio", [0, -0.1, 1.0000001, math.inf, math.nan, "half", None])
def test_ratios_outside_of_0_to_1_are_refused(kind, ratio):
    with pytest.raises(PolicyError, match=rf"of {kind}\['a'\] is not in \(0, 1\]"):
        Policy(**{kind: {"a": ratio}})
    assert Policy(**{kind: {"a": 1}}) == Policy(**{kind: {"a": 1.0}})


@pytest.mark.parametrize("kind", ["weight_bits", "activation_bits"])
@pytest.mark.parametrize("bits", [0, 9, 16, 31, 33, -1, True, "8", None, 2.5])
def test_bits_that_nothing_has_are_refused(kind, bits):
    with pytest.raises(PolicyError, match=rf"{kind}\['a'\] is .*; allowed are 1 to 8, and 32"):
        Policy(**{kind: {"a": bits}})


def test_layers_of_fewer_bits_than_all_are_quantized():
    policy = Policy(
        weight_bits={"a": 8, "b": 32, "c": 1}, activation_bits={"b": 32, "d": 4, "a": 32}
    )
    assert policy.quantized == ("a", "c", "d")
    bits = {name: policy.bits(name) for name in "abcd"}
    assert bits == {"a": (8, 32), "b": (32, 32), "c": (1, 32), "d": (32, 4)}
    assert policy.bits("e") == (32, 32)


def test_equal_policies_are_written_alike():
    one = Policy({"b": 0.5, "a": 0.25}, weight_bits={"x": 8})
    other = Policy({"a": 0.25, "b": 0.5}, weight_bits={"x": 8})
    assert one.to_json() == other.to_json()
    assert one.to_json() == (
        '{"activation_bits": {}, "channels": {"a": 0.25, "b": 0.5}, "schema": 1, '
        '"weight_bits": {"x": 8}, "weights": {}}'
    )
