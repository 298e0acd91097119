"""Measuring, one compression parameter of one group or layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

Change = Callable[[], dict[str, nn.Module]]


def measure(
    compressor: Compressor,
    images: Tensor,
    *,
    grid: Grid | None = None,
    scheme: Scheme = GALEN,
    path: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Ω of every group and layer of a network on normalised images.

    With ``path``, what is done is on disk after every layer and is not done again. Raises `DataError` without images.
    """
    if not len(images):
        raise DataError("there are no images to measure the sensitivity on; at least one is needed")
    grid = grid or Grid()
    identity = digest({**compressor.network.module.state_dict(), "images": images}, scheme)
    found = (
        Sensitivity.read(path)
        if path is not None and path.exists()
        else Sensitivity(len(images), identity)
    )
    if found.images != len(images):
        raise RunError(
            f"{path} was measured on {found.images} images, not {len(images)}; remove it or choose another folder"
        )
    if found.identity != identity:
        raise RunError(
            f"{path} was measured of another network, on other images or for another target; choose another folder"
        )
    module = compressor.network.module
    runner = SuffixRunner(fold(module, fastest_dtype(module, (images,))), images)
    work = list(_rows(compressor, runner, grid, scheme))
    for done, (parameter, name, options) in enumerate(work):
        row = found.table.setdefault(parameter, {}).setdefault(name, {})
        missing = [value for value in options if value not in row]
        for value in missing:
            row[value] = runner.divergence(options[value]())
        if missing and path is not None:
            found.save(path)
        on_progress(done + 1, len(work))
    return found


def _rows(
    compressor: Compressor, runner: SuffixRunner, grid: Grid, scheme: Scheme
) -> Iterator[tuple[Parameter, str, dict[float, Change]]]:
    """Every group or layer with what to try: for each value, the modules that replace those of the folded network."""
    network = compressor.network
    for group in network.groups:
        yield (
            "channels",
            group.name,
            {keep: _masked(compressor, runner, group.name, keep) for keep in grid.keep},
        )
    for layer in network.layers:
        module = runner.network.get_submodule(layer.name)
        if can_be_quantized(module):
            yield (
                "weight_bits",
                layer.name,
                {bits: _rounded(runner, layer.name, bits, scheme) for bits in grid.bits},
            )
    for layer in network.layers:
        if can_be_quantized(runner.network.get_submodule(layer.name)):
            yield (
                "activation_bits",
                layer.name,
                {bits: _coarse(runner, layer.name, bits) for bits in grid.bits},
            )


def _masked(compressor: Compressor, runner: SuffixRunner, group: str, keep: float) -> Change:
    def change() -> dict[str, nn.Module]:
        kept = compressor.kept(Policy(channels={group: keep}))
        if kept.all():
            return {}
        masked = fold(mask(compressor.network, kept), runner.dtype)
        return {
            name: masked.get_submodule(name)
            for name in compressor.network.group_by_name[group].consumers
        }

    return change


def _rounded(runner: SuffixRunner, layer: str, bits: float, scheme: Scheme) -> Change:
    def change() -> dict[str, nn.Module]:
        module = runner.network.get_submodule(layer)
        weight = module.get_parameter("weight")
        real = _with_weight(module, weight.float())
        rounded = cast("QuantizedWeight", with_rounded_weight(real, int(bits), scheme)).rounded()
        return {layer: _with_weight(module, rounded.to(weight.dtype))}

    return change


def _coarse(runner: SuffixRunner, layer: str, bits: float) -> Change:
    def change() -> dict[str, nn.Module]:
        lows, highs = zip(
            *(find_range(read, int(bits), "minmax") for read in runner.inputs_of(layer)),
            strict=True,
        )
        quantizer = ActivationQuantizer(int(bits), min(lows), max(highs))
        return {layer: _QuantizedInput(quantizer, runner.fast.get_submodule(layer))}

    return change


def _with_weight(module: nn.Module, weight: Tensor) -> nn.Module:
    return with_tensors(module, {"weight": weight})


class _QuantizedInput(nn.Module):
    """A layer that reads a rounded input."""

    def __init__(self, quantizer: ActivationQuantizer, layer: nn.Module) -> None:
        super().__init__()
        self.quantizer, self.layer = quantizer, layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.quantizer(x.float()).to(x.dtype))
