"""FINN's formulas, by numbers that are known."""

import pytest

from sartor.targets.fpga import _formulas as finn


@pytest.mark.parametrize(("multiplies", "expected"), [(True, 317), (False, 313)])
def test_an_engine_has_the_look_up_tables_that_finn_expects(multiplies, expected):
    # its test_fpgadataflow_res_estimate: 4 x 4, one by one, two bits each, signed inputs
    of_sums = finn.sum_bits(2, 2, terms=4, signed=True)
    found = finn.ENGINE_LUT + finn.adder_lut(1, 1, 2, 2, of_sums) + finn.weight_lut(2, words=16)
    if multiplies:
        found += finn.multiplier_lut(1, 1, 2, 2)
    assert int(found) == expected


@pytest.mark.parametrize(
    ("width", "words", "expected"),
    [
        (1, 16384, 1),
        (1, 16385, 2),
        (2, 8193, 2),
        (4, 4097, 2),
        (8, 2049, 2),
        (9, 2048, 1),
        (18, 1024, 1),
        (36, 512, 1),
        (36, 513, 2),
        (72, 512, 2),
    ],
)
def test_memories_step_up_where_a_block_ends(width, words, expected):
    assert finn.blocks(width, words) == expected


def test_narrow_weights_fill_whole_bytes():
    assert finn.weight_blocks(1, 4096) == finn.weight_blocks(8, 4096) == 2


def test_four_products_share_a_slice_up_to_four_bits_and_two_above():
    assert [finn.dsp_slices(8, 3, *bits) for bits in ((4, 4), (4, 5), (8, 8))] == [6, 12, 12]


def test_a_window_waits_for_its_first_rows_and_then_reads_each_place():
    # 3 x 3 on 8 x 8 with one word a pixel, 6 x 6 places
    first = 2 * 8 + 3
    assert finn.window_cycles((3, 3), 8, 6, 6, stride=1, words=1) == first + 6 * 6 * 9


def test_more_bits_never_take_less():
    before = 0.0
    for bits in range(2, 9):
        of_sums = finn.sum_bits(bits, bits, terms=144)
        taken = finn.multiplier_lut(4, 8, bits, bits) + finn.adder_lut(4, 8, bits, bits, of_sums)
        assert taken > before
        before = taken
