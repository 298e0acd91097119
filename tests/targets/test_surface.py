from itertools import product

import numpy as np
import pytest

from sartor.targets.prediction._surface import LatencySurface


def in_blocks(width_in, width_out):
    """A kernel that works in blocks of 16 outputs and is slow below."""
    return 2e-6 + 1e-9 * width_in * 16 * np.ceil(width_out / 16) * (3 if width_out < 16 else 1)


def bilinear(width_in, width_out):
    return 2e-6 + 3e-8 * width_in + 5e-8 * width_out + 1e-9 * width_in * width_out


def fitted(seconds, widths):
    return LatencySurface.fit(widths, [seconds(*pair) for pair in widths])


def test_what_adds_up_is_met_everywhere():
    surface = fitted(bilinear, list(product((16, 32, 64), (16, 32, 64))))
    for pair in product((8, 17, 50, 64), repeat=2):
        assert surface.seconds(*pair) == pytest.approx(bilinear(*pair), rel=1e-6)


def test_entries_at_the_widest_input_and_the_widest_output_are_met_exactly():
    edges = [*product((64,), range(8, 65, 8)), *product(range(8, 65, 8), (64,))]
    surface = fitted(in_blocks, [*dict.fromkeys([*edges, *product((16, 32), (16, 32))])])
    for pair in edges:
        assert surface.seconds(*pair) == pytest.approx(in_blocks(*pair), rel=1e-9)
    assert surface.seconds(32, 8) == pytest.approx(
        in_blocks(32, 8), rel=0.15
    )  # not measured; the fit alone says two thirds
    assert surface.seconds(64, 8) > surface.seconds(64, 16)


def test_entries_with_as_many_inputs_as_outputs_are_met_exactly():
    widths = [(width, width) for width in (8, 16, 24, 64)]
    surface = fitted(in_blocks, widths)
    for pair in widths:
        assert surface.seconds(*pair) == pytest.approx(in_blocks(*pair), rel=1e-9)


def test_one_entry_is_enough():
    assert fitted(bilinear, [(3, 10)]).seconds(3, 10) == pytest.approx(bilinear(3, 10))


def test_factors_are_those_of_every_width():
    surface = fitted(in_blocks, [*product((16, 64), range(8, 65, 8))])
    inputs, outputs = surface.factors(70)
    for pair in ((16, 8), (64, 20), (70, 70)):
        plain = surface.coefficients @ [1, *pair, pair[0] * pair[1]]
        assert plain * inputs[pair[0]] * outputs[pair[1]] == pytest.approx(
            surface.seconds(*pair), rel=1e-12
        )
