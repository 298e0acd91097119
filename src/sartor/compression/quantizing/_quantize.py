"""Quantization of a candidate: which tensors are rounded, to how many bits, in which range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from sartor.compression._options import RangeMethod
from sartor.compression.modules import fold, shallow_copy
from sartor.compression.quantizing._quantizers import (
    ActivationQuantizer,
    can_be_quantized,
    is_quantized,
    with_rounded_weight,
)
from sartor.compression.quantizing._ranges import Ranges, calibrate
from sartor.compression.quantizing._scheme import Scheme
from sartor.errors import PolicyError
from sartor.graph import Effect, function_effect, module_effect, operator_name
from sartor.policy import FULL_WIDTH, Policy

_CLIPS = ("relu", "relu_", "relu6")
_SUMS = ("add", "iadd", "add_")


@dataclass(frozen=True)
class _RoundedTensor:
    """A tensor that is rounded: for all its readers, or for some (None: all). ``like`` is the node whose range it has."""

    node: fx.Node
    bits: int
    like: fx.Node
    readers: tuple[fx.Node, ...] | None = None


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

    Ranges come from calibration ``inputs``; without them they are placeholders, for a state dict to fill. ``known`` are those
    of earlier calls with the same network and inputs; new ones are added.
    Raises `PolicyError` for a layer that cannot be quantized.
    """
    points = _find_points(folded, policy, scheme)
    wanted = {(point.like, point.bits) for point in points}
    found = known if known is not None else {}
    if inputs is not None and (missing := wanted - found.keys()):
        found.update(calibrate(folded, inputs, missing, ranges))
    graph = fx.Graph()
    graph.output(graph.graph_copy(folded.graph, {}))
    network = fx.GraphModule(shallow_copy(folded), graph)
    copies = dict(zip(folded.graph.nodes, network.graph.nodes, strict=True))
    for index, point in enumerate(points):
        network.add_submodule(
            f"quantizer_{index}",
            ActivationQuantizer(point.bits, *found.get((point.like, point.bits), (0.0, 1.0))),
        )
        tensor = copies[point.node]
        with network.graph.inserting_after(tensor):
            rounded = network.graph.call_module(f"quantizer_{index}", (tensor,))
        readers = (
            list(tensor.users)
            if point.readers is None
            else [copies[reader] for reader in point.readers]
        )
        for reader in readers:
            if reader is not rounded:
                reader.replace_input_with(tensor, rounded)
    for layer in policy.quantized:
        bits, _ = policy.bits(layer)
        if bits < FULL_WIDTH:
            module = with_rounded_weight(folded.get_submodule(layer), bits, scheme)
            network.set_submodule(layer, module)
    network.recompile()
    return network


def deployable(candidate: fx.GraphModule) -> fx.GraphModule:
    """The form targets build from: batch norms folded, which those of a quantized candidate are already."""
    return candidate if is_quantized(candidate) else fold(candidate)


def _find_points(network: fx.GraphModule, policy: Policy, scheme: Scheme) -> list[_RoundedTensor]:
    """All tensors to round, in the order of the graph."""
    calls: dict[str, list[fx.Node]] = {}
    for node in network.graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)
    readers: dict[tuple[fx.Node, int], list[fx.Node]] = {}
    whole: dict[fx.Node, int] = {}
    for layer in policy.quantized:
        if layer not in calls or not can_be_quantized(network.get_submodule(layer)):
            raise PolicyError(
                f"layer {layer!r} cannot be quantized; only Conv1d, Conv2d and Linear layers of the network can"
            )
        bits = policy.bits(layer)[1]
        for call in calls[layer]:
            if bits < FULL_WIDTH:
                readers.setdefault((call.all_input_nodes[0], bits), []).append(call)
            if (
                scheme.outputs
                and bits < FULL_WIDTH
                and _is_read_on(written := _written(network, call))
            ):
                whole[written] = bits
    points = [_RoundedTensor(node, bits, node) for node, bits in whole.items()]
    for (node, bits), layers in readers.items():
        if whole.get(node) == bits:
            continue
        if scheme.outputs:
            whole[node] = bits  # integers for one reader, and the same integers for all
            points.append(_RoundedTensor(node, bits, node))
        else:
            points.append(_RoundedTensor(node, bits, node, tuple(layers)))
    if scheme.outputs:
        points += _moved(network, whole)
    position = {node: index for index, node in enumerate(network.graph.nodes)}
    return sorted(points, key=lambda point: position[point.node])


def _written(network: fx.GraphModule, call: fx.Node) -> fx.Node:
    """The tensor a kernel writes: behind the folded batch norm and the clipping that runs with it."""
    node = call
    while len(node.users) == 1:
        (user,) = node.users
        module = network.get_submodule(str(user.target)) if user.op == "call_module" else None
        clips = isinstance(module, (nn.ReLU, nn.ReLU6)) or (
            user.op.startswith("call_f") and operator_name(user) in _CLIPS
        )
        if not clips and not isinstance(module, nn.Identity):
            break
        node = user
        if clips:
            break
    return node


def _is_read_on(node: fx.Node) -> bool:
    """Whether anything but the end of the network reads a tensor: results leave the network unrounded."""
    return any(user.op != "output" for user in node.users)


def _moved(network: fx.GraphModule, whole: dict[fx.Node, int]) -> list[_RoundedTensor]:
    """Summands that only moved elements of rounded tensors: rounding them again changes nothing and keeps the sum whole."""
    points = []
    for node in network.graph.nodes:
        if node.op not in ("call_function", "call_method") or operator_name(node) not in _SUMS:
            continue
        for summand in node.all_input_nodes:
            source = summand
            while source not in whole and _only_moves(network, source):
                source = source.all_input_nodes[0]
            if source in whole and summand is not source:
                points.append(_RoundedTensor(summand, whole[source], source))
    return list({point.node: point for point in points}.values())


def _only_moves(network: fx.GraphModule, node: fx.Node) -> bool:
    if len(node.all_input_nodes) != 1:
        return False
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        return isinstance(module, nn.Identity) or module_effect(module) is Effect.MOVE
    return (
        node.op in ("call_function", "call_method")
        and function_effect(operator_name(node)) is Effect.MOVE
    )
