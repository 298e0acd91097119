from hypothesis import given
from hypothesis import strategies as st

from sartor.targets.fpga import Engine, Folding, Shape
from sartor.targets.fpga._folding import fold

ENGINE = Engine(
    depthwise=False,
    kernel=(3, 3),
    stride=1,
    input_rows=18,
    input_columns=18,
    rows=16,
    columns=16,
    repeats=1,
    window=True,
    rounds=True,
)


@given(
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    bits=st.integers(2, 8),
    most=st.integers(300, 10**6),
)
def test_foldings_divide_and_reach_the_rate_or_are_as_fast_as_can_be(inputs, outputs, bits, most):
    shape = Shape(inputs, outputs, bits, bits)
    found = fold(ENGINE, shape, most)
    assert outputs % found.pe == 0
    assert (9 * inputs) % found.simd == 0
    assert inputs % found.window_simd == 0
    assert found.cycles <= most or found.cycles == 18 * 18


def test_what_is_just_enough_is_enough():
    shape = Shape(16, 16, 2, 2)
    slowest = fold(ENGINE, shape, 10**9)
    assert fold(ENGINE, shape, slowest.cycles) == slowest


def test_primes_fold_into_one_or_all():
    shape = Shape(31, 31, 4, 4)
    allowed = {1, 31}
    for most in (3_000, 30_000, 300_000, 3_000_000):
        assert fold(ENGINE, shape, most).pe in allowed


def test_more_parallel_engines_are_never_slower():
    shape = Shape(16, 16, 4, 4)
    cycles = [_cycles(shape, pe) for pe in (1, 2, 4, 8, 16)]
    assert cycles == sorted(cycles, reverse=True)


def _cycles(shape, pe):
    return Folding.of(ENGINE, shape, pe=pe, simd=9, window_simd=16).cycles
