"""Rounding, by values worked out by hand."""

import pytest
import torch
from torch import nn

from sartor.compression import GALEN, INTEGER, REDUCED, ActivationQuantizer, Scheme
from sartor.compression.quantizing import (
    QuantizedWeight,
    can_be_quantized,
    is_quantized,
    round_learned,
    rounded_once,
    with_rounded_weight,
)


def numbers(quantizer):
    return float(quantizer.scale), int(quantizer.zero_point)


def test_scale_and_zero_point_of_an_activation():
    assert numbers(ActivationQuantizer(8, -1.0, 1.55)) == (pytest.approx(0.01), 100)
    assert numbers(ActivationQuantizer(2, 0.0, 3.0)) == (1.0, 0)
    assert numbers(ActivationQuantizer(1, -1.0, 0.0)) == (1.0, 1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.0, 3.0, (1.0, 0)), (-3.0, -1.0, (1.0, 3)), (0.0, 0.0, (pytest.approx(1e-12), 0))],
)
def test_zero_is_in_every_range(low, high, expected):
    """Padding is made of it: a range without it is widened."""
    quantizer = ActivationQuantizer(2, low, high)
    assert numbers(quantizer) == expected
    assert float(quantizer(torch.zeros(1))) == 0


def test_zero_points_are_rounded_not_cut_off():
    """-low / scale is 1.8 and 1.2 at steps of 1."""
    assert numbers(ActivationQuantizer(2, -1.8, 1.2)) == (pytest.approx(1.0), 2)
    assert numbers(ActivationQuantizer(2, -1.2, 1.8)) == (pytest.approx(1.0), 1)


def test_activations_are_rounded_and_clipped():
    quantizer = ActivationQuantizer(2, -1.0, 2.0)
    x = torch.tensor([-5.0, -1.0, -0.4, 0.6, 1.4, 2.0, 9.0])
    assert quantizer(x).tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert quantizer.bits == 2
    fine = ActivationQuantizer(4, 0.0, 15.0)
    assert fine(torch.tensor([-1.0, 12.4, 99.0])).tolist() == [0.0, 12.0, 15.0]
    assert quantizer.zero_point.dtype == torch.int32
    assert set(quantizer.state_dict()) == {"scale", "zero_point"}


def rounded(weights, bits, scheme):
    layer = nn.Linear(len(weights[0]), len(weights), bias=False)
    layer.weight = nn.Parameter(torch.tensor(weights))
    return with_rounded_weight(layer, bits, scheme)


def test_symmetric_weights():
    """2 bits: integers from -1 to 1, steps as large as the largest weight of each output."""
    layer = rounded([[1.0, -0.4, 0.6], [-2.0, 0.9, 1.1]], 2, INTEGER)
    assert layer.weight_scale.tolist() == [1.0, 2.0]
    assert layer.weight_zero_point.tolist() == [0, 0]
    assert layer.weight_zero_point.dtype == torch.int32
    assert layer.rounded().tolist() == [[1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]]
    assert layer.integers().tolist() == [[1, 0, 1], [-1, 0, 1]]


def test_symmetric_weights_of_three_bits():
    layer = rounded([[3.0, -1.4, -3.0]], 3, INTEGER)
    assert layer.weight_scale.tolist() == [1.0]
    assert layer.integers().tolist() == [[3, -1, -3]]


def test_one_bit_is_not_symmetric():
    """Its two numbers are zero and one other; symmetric around zero there would be none."""
    layer = rounded([[1.0, 0.4, 0.6], [-1.0, -0.4, -0.6]], 1, INTEGER)
    assert layer.weight_scale.tolist() == [1.0, 1.0]
    assert layer.weight_zero_point.tolist() == [-1, 0]
    assert layer.rounded().tolist() == [[1.0, 0.0, 1.0], [-1.0, 0.0, -1.0]]
    assert layer.integers().tolist() == [[0, -1, 0], [-1, 0, -1]]


def test_asymmetric_weights():
    """2 bits: integers from -2 to 1. [-1, 2]: steps of 1, zero at -1."""
    layer = rounded([[-1.0, 2.0, 0.6], [1.0, 3.0, 2.4], [-3.0, -1.0, -0.4]], 2, GALEN)
    assert layer.weight_scale.tolist() == [1.0, 1.0, 1.0]
    assert layer.weight_zero_point.tolist() == [-1, -2, 1]
    assert layer.weight_zero_point.dtype == torch.int32
    assert layer.rounded().tolist() == [[-1.0, 2.0, 1.0], [1.0, 3.0, 2.0], [-3.0, -1.0, 0.0]]
    assert layer.integers().tolist() == [[-2, 1, 0], [-1, 1, 0], [-2, 0, 1]]


def test_asymmetric_weights_of_three_bits():
    """Integers from -4 to 3, [-1, 2.5] in steps of a half: zero at -2."""
    layer = rounded([[-1.0, 2.5, 0.6]], 3, GALEN)
    assert layer.weight_scale.tolist() == [0.5]
    assert layer.weight_zero_point.tolist() == [-2]
    assert layer.integers().tolist() == [[-4, 3, -1]]
    assert layer.rounded().tolist() == [[-1.0, 2.5, 0.5]]


def test_zero_points_of_weights_are_rounded():
    """-2 - low / scale is -0.2 and -0.8 at steps of 1."""
    layer = rounded([[-1.8, 1.2], [-1.2, 1.8]], 2, GALEN)
    assert layer.weight_zero_point.tolist() == [0, -1]


@pytest.mark.parametrize("scheme", [INTEGER, GALEN])
def test_an_output_of_zeros_stays_zero(scheme):
    layer = rounded([[0.0, 0.0], [1.0, -1.0]], 4, scheme)
    assert float(layer.weight_scale[0]) == pytest.approx(1e-12, rel=1e-6, abs=0)
    assert layer.rounded()[0].tolist() == [0.0, 0.0]
    assert layer.integers()[0].tolist() == [int(layer.weight_zero_point[0])] * 2


@pytest.mark.parametrize(
    ("scheme", "bits", "largest"),
    [
        (INTEGER, 8, 127),
        (INTEGER, 4, 7),
        (INTEGER, 2, 1),
        (REDUCED, 8, 63),
        (REDUCED, 7, 63),
        (REDUCED, 4, 7),
    ],
)
def test_the_largest_symmetric_weight(scheme, bits, largest):
    assert scheme.largest_weight(bits) == largest
    assert rounded([[1.0, 0.0]], bits, scheme).integers().tolist() == [[largest, 0]]


def test_schemes_do_not_reduce_ranges_unless_they_say_so():
    assert Scheme(symmetric_weights=True, outputs=False).largest_weight(8) == 127


def test_integers_are_clipped_to_their_bits():
    layer = rounded([[1.0, -1.0]], 8, INTEGER).eval()
    layer.weight_scale.fill_(1e-3)
    assert layer.integers().tolist() == [[127, -128]]
    layer.weight_bits = 4
    assert layer.integers().tolist() == [[7, -7]], "symmetric"
    assert layer.rounded().flatten().tolist() == pytest.approx([7e-3, -7e-3])
    layer.scheme = GALEN
    assert layer.integers().tolist() == [[7, -8]]


def test_stored_integers_are_int8_in_rows():
    layer = with_rounded_weight(nn.Conv2d(2, 3, 3), 8, INTEGER)
    layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    assert layer.integers().dtype == torch.int8
    assert layer.integers().is_contiguous()
    assert layer.integers().shape == (3, 2, 3, 3)


def test_ranges_follow_weights_that_are_scaled_and_turn_round_with_them():
    layer = rounded([[-1.0, 2.0], [-1.0, 2.0]], 2, GALEN)
    integers = layer.integers()
    factor = torch.tensor([3.0, -0.5])
    layer.weight.data *= factor[:, None]
    layer.rescale(factor)
    assert layer.weight_scale.tolist() == [3.0, 0.5]
    assert layer.rounded().tolist() == [[-3.0, 6.0], [0.5, -1.0]]
    assert layer.integers().tolist() == [integers[0].tolist(), (-1 - integers[1]).tolist()]


@pytest.mark.parametrize(
    ("scheme", "bits", "limits"),
    [
        (INTEGER, 8, (-127, 127)),
        (REDUCED, 8, (-63, 63)),
        (REDUCED, 4, (-7, 7)),
        (INTEGER, 1, (-1, 0)),
        (GALEN, 4, (-8, 7)),
    ],
)
def test_weights_are_clipped_where_the_scheme_ends(scheme, bits, limits):
    layer = rounded([[1.0, -1.0]], bits, scheme)
    assert layer.limits == limits
    layer.weight.data *= 100
    layer.weight.data = layer.clipped()
    assert layer.integers().tolist()[0][::-1] == list(limits), (
        "one of 8 bits that a runtime would clip later"
    )


LAYERS = [
    (nn.Linear(5, 3), (2, 5)),
    (nn.Conv1d(5, 3, 3, stride=2, padding=1), (2, 5, 7)),
    (nn.Conv2d(4, 6, 3, groups=2, dilation=2, bias=False), (2, 4, 7, 7)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda item: type(item).__name__)
def test_quantized_layers_compute_with_rounded_weights(layer, shape):
    layer = layer.requires_grad_(False).eval()
    quantized = with_rounded_weight(layer, 3, INTEGER)
    assert isinstance(quantized, QuantizedWeight)
    assert isinstance(quantized, type(layer))
    assert quantized.weight is layer.weight
    assert (quantized.weight_bits, quantized.scheme) == (3, INTEGER)
    x = torch.randn(shape)
    plain = rounded_once(quantized)
    assert type(plain) is type(layer)
    assert torch.equal(plain.weight, quantized.rounded())
    assert not plain.weight.requires_grad
    assert set(plain.state_dict()) == set(layer.state_dict())
    assert not torch.allclose(layer(x), plain(x))
    assert torch.equal(quantized(x), plain(x))
    assert set(quantized.state_dict()) - set(layer.state_dict()) == {
        "weight_scale",
        "weight_zero_point",
    }


def test_what_can_be_and_what_is_quantized():
    for layer, _ in LAYERS:
        assert can_be_quantized(layer)
        assert is_quantized(nn.Sequential(nn.ReLU(), with_rounded_weight(layer, 8, GALEN)))
        assert not can_be_quantized(with_rounded_weight(layer, 8, GALEN))
    assert not can_be_quantized(nn.Conv3d(1, 1, 1))
    assert not is_quantized(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert is_quantized(nn.Sequential(ActivationQuantizer(8, 0.0, 1.0)))


@pytest.mark.parametrize("bits", [2, 4])
def test_ranges_that_are_learned_begin_as_they_were(bits):
    x = torch.randn(50)
    plain = ActivationQuantizer(bits, -1.0, 1.6)
    learned = ActivationQuantizer(bits, -1.0, 1.6)
    learned.growth = nn.Parameter(torch.zeros(2))
    assert torch.equal(learned(x), plain(x))
    layer = rounded([[1.0, 0.3, -1.0]], bits, INTEGER)
    before = layer.rounded()
    layer.growth = nn.Parameter(torch.zeros(1))
    assert torch.equal(layer.rounded(), before)


def test_the_ends_of_a_learned_range_move_apart():
    quantizer = ActivationQuantizer(2, -1.0, 2.0)
    quantizer.growth = nn.Parameter(10 * torch.tensor([0.0, 4.0 / 3]).log1p())
    with torch.no_grad():
        scale, zero_point = quantizer.learned()
    # From -1 to 2 · 7/3: the steps are wider, and fewer of them lie below zero.
    assert (float(scale), float(zero_point)) == (pytest.approx(17 / 9), 1.0)
    assert ActivationQuantizer(2, -1.0, 14 / 3).scale == pytest.approx(17 / 9)


def test_gradients_of_steps_and_zero_points():
    x = torch.tensor([-3.0, -0.3, 0.8, 5.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    zero_point = torch.tensor(1.0, requires_grad=True)
    weights = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    out = round_learned(x, scale, zero_point, 0, 3)
    assert out.tolist() == [-0.5, -0.5, 1.0, 1.0]
    (out * weights).sum().backward()
    assert x.grad.tolist() == [0.0, 10.0, 100.0, 0.0]
    # Clipped to -1 and 2 steps, and what rounding adds to the others: -0.4 and 0.4 of a step.
    assert float(scale.grad) == pytest.approx(-1 - 0.4 * 10 + 0.4 * 100 + 2 * 1000)
    assert float(zero_point.grad) == pytest.approx(-0.5 * 1001)


def test_every_output_has_a_step_of_its_own():
    x = torch.tensor([[0.8, 5.0], [0.8, 5.0]], requires_grad=True)
    scale = torch.tensor([0.5, 4.0], requires_grad=True)
    out = round_learned(x, scale, torch.zeros(2), -3, 3)
    assert out.tolist() == [[1.0, 1.5], [0.0, 4.0]]
    out.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert scale.grad.tolist() == pytest.approx([0.4 + 3, -0.2 - 0.25])
