"""Errors that rounding causes at the outputs of single layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sartor.compression.modules import weight_of
from sartor.compression.quantizing import QuantizedWeight, Scheme, calibrate, with_rounded_weight
from sartor.compression.refitting import Refitter, as_matrix, images_at_once
from sartor.graph import Network
from sartor.machine import FloatArray
from sartor.policy import FULL_WIDTH

Precision = tuple[int, int]


def precision_errors(
    refitter: Refitter,
    layer: str,
    precisions: Sequence[Precision],
    input_range: tuple[float, float],
    scheme: Scheme,
) -> FloatArray:
    """Error at a layer's output, weighted by sensitivity, at each pair of bits.

    Rounding of the input, whose lowest and highest value are given, counts as noise of a twelfth
    of its squared step.
    """
    module = refitter.calibration.network.module.get_submodule(layer)
    low, high = input_range
    errors = []

    for weight_bits, activation_bits in precisions:
        error = 0.0
        if weight_bits < FULL_WIDTH:
            error += _error_of_weights(
                refitter,
                layer,
                module,
                bits=weight_bits,
                scheme=scheme,
            )
        if activation_bits < FULL_WIDTH:
            step = (high - low) / (2**activation_bits - 1)
            # Of noise that is uniform over a step, a twelfth of its square is the variance.
            error += _energy(refitter, layer, module) * step**2 / 12
        errors.append(error)

    measured = np.array(errors)
    return never_above_coarser(precisions, measured)


def blind_precision_errors(precisions: Sequence[Precision]) -> FloatArray:
    """What stands in for `precision_errors` where there are no images: squared steps."""
    return np.array([4.0**-weight + 4.0**-activation for weight, activation in precisions])


def never_above_coarser(precisions: Sequence[Precision], errors: FloatArray) -> FloatArray:
    """Errors, none larger than that of a pair that is as coarse in both or coarser.

    >>> never_above_coarser([(8, 8), (4, 8)], np.array([0.3, 0.2]))
    array([0.2, 0.2])
    """
    pairs = np.array(precisions)
    # Row by row: which pairs are no finer in any way, itself among them.
    is_coarser = (pairs[:, None] >= pairs[None]).all(2)
    candidates = np.where(is_coarser, errors, np.inf)
    return candidates.min(1)


def input_ranges(network: Network, images: Tensor) -> dict[str, tuple[float, float]]:
    """Lowest and highest input of every layer of the original."""
    # By layer, the tensor that its last call reads, at full width.
    read = {}
    points = set()
    for node in network.module.graph.nodes:
        name = str(node.target)
        if node.op != "call_module" or name not in network.layer_by_name:
            continue

        point = (node.all_input_nodes[0], FULL_WIDTH)
        points.add(point)
        read[name] = point

    found = calibrate(
        network.module,
        (images,),
        points,
        "minmax",
        at_once=images_at_once(network),
    )
    return {name: found[point] for name, point in read.items()}


def _error_of_weights(
    refitter: Refitter, layer: str, module: nn.Module, bits: int, scheme: Scheme
) -> float:
    layer_rounded = with_rounded_weight(module, bits, scheme)
    quantized = cast("QuantizedWeight", layer_rounded)
    matrix = as_matrix(weight_of(module))
    change = as_matrix(quantized.rounded()) - matrix

    # Where no Gram matrix is recorded, inputs are taken to be independent, of unit energy.
    gram = torch.eye(matrix.shape[1], device=matrix.device)
    if refitter.can_solve(layer):
        gram, _ = refitter.gram(layer)

    spread = change @ gram
    by_output = (spread * change).sum(1)
    sensitivity = refitter.calibration.sensitivity[layer]
    return float(by_output @ sensitivity)


def _energy(refitter: Refitter, layer: str, module: nn.Module) -> float:
    """Error at the outputs for noise of unit variance at every input."""
    matrix = as_matrix(weight_of(module))
    squares = matrix.square().sum(1)
    sensitivity = refitter.calibration.sensitivity[layer]
    return float(squares @ sensitivity)
