"""Quantization of a candidate: its network with everything rounded that a policy names."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from sartor.compression._options import RangeMethod
from sartor.compression.modules import device_of, fold, on_device, with_own_graph
from sartor.compression.quantizing._points import RoundedTensor, find_points
from sartor.compression.quantizing._quantizers import (
    ActivationQuantizer,
    is_quantized,
    with_rounded_weight,
)
from sartor.compression.quantizing._ranges import Ranges, calibrate
from sartor.compression.quantizing._scheme import Scheme
from sartor.machine import CPU
from sartor.policy import FULL_WIDTH, Policy

#: Range of an activation that is not known yet.
_PLACEHOLDER = (0.0, 1.0)


@torch.no_grad()
def quantize(
    folded: fx.GraphModule,
    policy: Policy,
    inputs: tuple[Tensor, ...] | None,
    scheme: Scheme,
    ranges: RangeMethod = "minmax",
    *,
    known: Ranges | None = None,
    at_once: int | None = None,
) -> fx.GraphModule:
    """The network, batch norms folded, with the policy's bits; its real weights are shared.

    Ranges come from calibration ``inputs``, of which ``at_once`` run together; without inputs they
    are placeholders, for a state dict to fill. ``known`` are those of earlier calls with the same
    network and inputs; new ones are added. Raises `PolicyError` for a layer that cannot be
    quantized.
    """
    points = find_points(folded, policy, scheme)
    # An empty table that is given is filled too.
    found = known if known is not None else {}
    needed = {(node, point.bits) for point in points for node in (point.like, *point.beside)}
    missing = needed - found.keys()
    if inputs is not None and missing:
        new = calibrate(folded, inputs, missing, ranges, at_once)
        found.update(new)

    device = device_of(folded)
    network, copies = with_own_graph(folded)
    # One for all tensors of the same range: it stays the same for all when it is trained.
    quantizers: dict[tuple[tuple[fx.Node, ...], int], ActivationQuantizer] = {}
    for index, point in enumerate(points):
        name = f"quantizer_{index}"
        key = ((point.like, *point.beside), point.bits)
        if key not in quantizers:
            low, high = _range_of(point, found)
            quantizers[key] = ActivationQuantizer(point.bits, low, high, device, scheme)
        network.add_submodule(name, quantizers[key])
        _insert(network, name, point, copies)

    for layer in policy.quantized:
        bits, _ = policy.bits(layer)
        if bits < FULL_WIDTH:
            plain = folded.get_submodule(layer)
            rounded = with_rounded_weight(plain, bits, scheme)
            network.set_submodule(layer, rounded)

    network.recompile()
    return network


def _range_of(point: RoundedTensor, found: Ranges) -> tuple[float, float]:
    """What holds all tensors of one range; what is known of none of them is a placeholder."""
    ranges = []
    for node in (point.like, *point.beside):
        ranges.append(found.get((node, point.bits), _PLACEHOLDER))
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def deployable(candidate: fx.GraphModule) -> fx.GraphModule:
    """The form targets build from, with batch norms folded, on the CPU."""
    ready = on_device(candidate, CPU)
    # In a quantized candidate they are already.
    if is_quantized(ready):
        return ready
    return fold(ready)


def _insert(
    network: fx.GraphModule, name: str, point: RoundedTensor, copies: dict[fx.Node, fx.Node]
) -> None:
    """Let the readers of a tensor read what the module ``name`` makes of it."""
    tensor = copies[point.node]
    with network.graph.inserting_after(tensor):
        rounded = network.graph.call_module(name, (tensor,))

    readers = list(tensor.users)
    if point.readers is not None:
        readers = [copies[reader] for reader in point.readers]
    for reader in readers:
        # All readers now include the rounding itself.
        if reader is not rounded:
            reader.replace_input_with(tensor, rounded)
