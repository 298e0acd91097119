"""Measuring, one compression parameter of one group or layer at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from sartor.compression import (
    GALEN,
    ActivationQuantizer,
    Compressor,
    QuantizedWeight,
    Scheme,
    can_be_quantized,
    device_of,
    fastest_dtype,
    fold,
    mask,
)
from sartor.compression.modules import with_tensors
from sartor.compression.quantizing import find_range, with_rounded_weight
from sartor.errors import DataError, RunError
from sartor.machine import digest
from sartor.policy import Policy
from sartor.sensitivity._suffix import SuffixRunner
from sartor.sensitivity._table import Grid, Parameter, Sensitivity
from sartor.tasks import CLASSIFICATION, Task

#: Modules, by name, that replace those of the folded network for one value of a parameter.
Change = Callable[[float], dict[str, nn.Module]]


@dataclass(frozen=True, eq=False)
class _Row:
    """One parameter of one group or layer, and what each of its values changes."""

    parameter: Parameter
    name: str
    values: tuple[float, ...]
    change: Change


def measure(
    compressor: Compressor,
    images: Tensor,
    *,
    grid: Grid | None = None,
    scheme: Scheme = GALEN,
    task: Task = CLASSIFICATION,
    path: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Ω of every group and layer of a network on normalised images, computed where it is.

    With ``path``, what is done is on disk after every layer and is not done again; ``on_progress``
    is called with the number of rows that are done and of all.

    Raises `DataError` without images, `RunError` if ``path`` holds something else.

    >>> import torch
    >>> from sartor.compression import CompressOptions
    >>> from sartor.graph import trace
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> images = torch.randn(8, 3, 2, 2)
    >>> compressor = Compressor(trace(model, images[:1]), None, CompressOptions())
    >>> found = measure(compressor, images, grid=Grid(keep=(0.5, 1.0), bits=(8,)))
    >>> sorted(found.table)
    ['activation_bits', 'channels', 'weight_bits']
    >>> found.table["channels"]["0"][1.0]
    0.0
    """
    if not len(images):
        raise DataError("there are no images to measure the sensitivity on; at least one is needed")

    module = compressor.network.module
    images = images.to(compressor.device)
    tensors = {**module.state_dict(), "images": images}
    identity = digest(tensors, scheme)
    found = _begun(path, len(images), identity)

    dtype = fastest_dtype(module, (images,))
    folded = fold(module, dtype)
    runner = SuffixRunner.of(folded, images, task)
    # A list, because progress is a share of them all.
    rows = list(_rows(compressor, runner, grid or Grid(), scheme))
    for done, row in enumerate(rows, 1):
        is_new = _complete(found, row, runner)
        if is_new and path is not None:
            found.save(path)
        on_progress(done, len(rows))
    return found


def _begun(path: Path | None, images: int, identity: str) -> Sensitivity:
    """What a file holds of the same measurement, or nothing yet."""
    if path is None or not path.exists():
        return Sensitivity(images, identity)

    found = Sensitivity.read(path)
    # The digest covers the number of images too; asked alone, it has a message of its own.
    if found.images != images:
        raise RunError(
            f"{path} was measured on {found.images} images, not {images}; remove it or choose "
            "another folder"
        )
    if found.identity != identity:
        raise RunError(
            f"{path} was measured of another network, on other images or for another target; "
            "choose another folder"
        )
    return found


def _complete(found: Sensitivity, row: _Row, runner: SuffixRunner) -> bool:
    """Measure the values of a row that are missing; whether there were any."""
    omegas = found.row(row.parameter, row.name)
    missing = [value for value in row.values if value not in omegas]
    for value in missing:
        replaced = row.change(value)
        omegas[value] = runner.divergence(replaced)
    return bool(missing)


def _rows(
    compressor: Compressor, runner: SuffixRunner, grid: Grid, scheme: Scheme
) -> Iterator[_Row]:
    network = compressor.network
    for group in network.groups:
        change: Change = partial(_without_channels, compressor, runner, group.name)
        yield _Row("channels", group.name, grid.keep, change)

    layers = [
        layer.name
        for layer in network.layers
        if can_be_quantized(runner.network.get_submodule(layer.name))
    ]
    for layer in layers:
        change = partial(_with_coarse_weights, runner, layer, scheme)
        yield _Row("weight_bits", layer, grid.bits, change)
    for layer in layers:
        change = partial(_with_coarse_input, runner, layer)
        yield _Row("activation_bits", layer, grid.bits, change)


def _without_channels(
    compressor: Compressor, runner: SuffixRunner, group: str, keep: float
) -> dict[str, nn.Module]:
    """The readers of a group, for which the channels that are not kept are zero."""
    network = compressor.network
    policy = Policy(channels={group: keep})
    kept = compressor.kept(policy)
    if kept.all():
        return {}

    # Folded like the network that runs, so that only what is masked makes a difference.
    masked = mask(network, kept)
    folded = fold(masked, runner.dtype)

    ends = network.group_by_name[group].ends
    return {name: folded.get_submodule(name) for name in ends}


def _with_coarse_weights(
    runner: SuffixRunner, layer: str, scheme: Scheme, bits: float
) -> dict[str, nn.Module]:
    module = runner.network.get_submodule(layer)
    weight = module.get_parameter("weight")

    # Rounded in fp32, as a delivered network is; only then in the type that this one runs in.
    exact = with_tensors(module, {"weight": weight.float()})
    quantized = with_rounded_weight(exact, int(bits), scheme)
    rounded = cast("QuantizedWeight", quantized).rounded()

    coarse = rounded.to(weight.dtype)
    changed = with_tensors(module, {"weight": coarse})
    return {layer: changed}


def _with_coarse_input(runner: SuffixRunner, layer: str, bits: float) -> dict[str, nn.Module]:
    low = math.inf
    high = -math.inf
    width = int(bits)
    for batch in runner.inputs_of(layer):
        batch_low, batch_high = find_range(batch, width, "minmax")
        low = min(low, batch_low)
        high = max(high, batch_high)

    device = device_of(runner.network)
    quantizer = ActivationQuantizer(width, low, high, device)
    module = runner.fast.get_submodule(layer)
    changed = _QuantizedInput(quantizer, module)
    return {layer: changed}


class _QuantizedInput(nn.Module):
    """A layer that reads a rounded input."""

    def __init__(self, quantizer: ActivationQuantizer, layer: nn.Module) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        rounded = self.quantizer(x.float())
        return self.layer(rounded.to(x.dtype))
