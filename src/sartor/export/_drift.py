"""Where an artifact begins to compute something else than the network it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, fx

from sartor.compression import layer_calls
from sartor.export._format import Format
from sartor.export._registry import find_format
from sartor.machine import Float32Array

#: Relative error above which a layer has drifted: several times what rounding differently does.
DRIFTED = 0.1


@dataclass(frozen=True)
class Drift:
    """How far what a layer writes is off.

    Attributes:
        layer: Name of the layer.
        error: ‖artifact − network‖ / ‖network‖ of what it writes.

    >>> Drift("conv1", 0.02).drifted, Drift("conv2", float("nan")).drifted
    (False, True)
    """

    layer: str
    error: float

    @property
    def drifted(self) -> bool:
        """Whether this is more than rounding."""
        # turned round, so that what is not a number counts
        return not self.error <= DRIFTED


def drift(
    artifact: Path, form: str | Format, network: fx.GraphModule, images: Tensor
) -> list[Drift]:
    """Of every layer that an artifact names, in forward order, for some images.

    What layers write is shown before it is rounded, so that they run in fp32 on rounded numbers: a
    wrong file is found, a wrong integer kernel is not (`sartor.targets` looks for those). Nothing
    is found of formats that name no layers.
    """
    chosen = find_format(form)
    if not chosen.names_layers:
        return []

    expected: dict[str, Float32Array] = {}
    for call in layer_calls(network, (images,)):
        expected[call.name] = call.output.numpy()

    layers = list(expected)
    found = chosen.layer_outputs(artifact, layers, images.numpy())

    errors = []
    for layer, wanted in expected.items():
        if layer in found:
            error = _error(found[layer], wanted)
            errors.append(Drift(layer, error))
    return errors


def _error(found: Float32Array, wanted: Float32Array) -> float:
    # a layer may write nothing but zeros
    size = max(float(np.linalg.norm(wanted)), 1e-12)
    difference = float(np.linalg.norm(found - wanted))
    return difference / size
