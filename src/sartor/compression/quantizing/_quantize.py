"""Quantization of a candidate: its network with everything rounded that a policy names."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from sartor.compression._options import RangeMethod
from sartor.compression.modules import fold, shallow_copy
from sartor.compression.quantizing._points import RoundedTensor, find_points
from sartor.compression.quantizing._quantizers import (
    ActivationQuantizer,
    is_quantized,
    with_rounded_weight,
)
from sartor.compression.quantizing._ranges import Ranges, calibrate
from sartor.compression.quantizing._scheme import Scheme
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
) -> fx.GraphModule:
    """The network, batch norms folded, with the policy's bits; its real weights are shared.

    Ranges come from calibration ``inputs``; without them they are placeholders, for a state dict
    to fill. ``known`` are those of earlier calls with the same network and inputs; new ones are
    added. Raises `PolicyError` for a layer that cannot be quantized.
    """
    points = find_points(folded, policy, scheme)
    found = known if known is not None else {}
    missing = {(point.like, point.bits) for point in points} - found.keys()
    if inputs is not None and missing:
        found.update(calibrate(folded, inputs, missing, ranges))

    graph = fx.Graph()
    graph.output(graph.graph_copy(folded.graph, {}))
    network = fx.GraphModule(shallow_copy(folded), graph)
    copies = dict(zip(folded.graph.nodes, network.graph.nodes, strict=True))
    for index, point in enumerate(points):
        low, high = found.get((point.like, point.bits), _PLACEHOLDER)
        network.add_submodule(f"quantizer_{index}", ActivationQuantizer(point.bits, low, high))
        _insert(network, f"quantizer_{index}", point, copies)

    for layer in policy.quantized:
        bits, _ = policy.bits(layer)
        if bits < FULL_WIDTH:
            module = with_rounded_weight(folded.get_submodule(layer), bits, scheme)
            network.set_submodule(layer, module)
    network.recompile()
    return network


def deployable(candidate: fx.GraphModule) -> fx.GraphModule:
    """The form targets build from: batch norms folded, as a quantized candidate's are already."""
    return candidate if is_quantized(candidate) else fold(candidate)


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
        if reader is not rounded:
            reader.replace_input_with(tensor, rounded)
