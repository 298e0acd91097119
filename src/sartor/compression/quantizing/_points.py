"""Which tensors of a network are rounded, to how many bits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn

from sartor.compression.quantizing._nodes import (
    averages,
    clips,
    is_operator,
    is_sum,
    module_of,
    only_moves,
    sums_up,
)
from sartor.compression.quantizing._quantizers import can_be_quantized
from sartor.compression.quantizing._scheme import Scheme
from sartor.errors import PolicyError
from sartor.graph import operator_name
from sartor.policy import FULL_WIDTH, Policy

#: Bits that activations have at most.
_WIDEST = 8


@dataclass(frozen=True)
class RoundedTensor:
    """A tensor that is rounded.

    Attributes:
        node: The node that writes it.
        bits: To how many.
        like: The node whose range it has.
        readers: Those that read it rounded; None for all.
        beside: Other nodes whose ranges it has to hold too.
    """

    node: fx.Node
    bits: int
    like: fx.Node
    readers: tuple[fx.Node, ...] | None = None
    beside: tuple[fx.Node, ...] = ()


def find_points(network: fx.GraphModule, policy: Policy, scheme: Scheme) -> list[RoundedTensor]:
    """All tensors to round, in the order of the graph.

    Raises `PolicyError` for a layer that cannot be quantized.
    """
    integers: list[tuple[fx.Node, int]] = []
    floats: list[tuple[fx.Node, int]] = []
    for call, bits in _calls_of_quantized(network, policy):
        writes_integers = scheme.outputs and bits >= scheme.floats_below
        chosen = integers if writes_integers else floats
        chosen.append((call, bits))
    # What single layers read comes first: rounding that is for all comes before it, then.
    points = _points_of_inputs(floats) + _points_of_integers(network, integers)
    if scheme.equal_summands:
        calls = [*integers, *floats]
        # First, so that what is added is rounded for its other readers before.
        sums = [*_points_of_sums(network, calls), *_points_of_means(network, calls)]
        points = [*sums, *points]

    # Found in the order of the policy, which is no order of the network.
    position = {}
    for index, node in enumerate(network.graph.nodes):
        position[node] = index
    return sorted(points, key=lambda point: position[point.node])


def _calls_of_quantized(network: fx.GraphModule, policy: Policy) -> list[tuple[fx.Node, int]]:
    """Every call of a layer whose activations are rounded, with their bits."""
    calls: dict[str, list[fx.Node]] = {}
    for node in network.graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)

    found = []
    for layer in policy.quantized:
        if layer not in calls or not can_be_quantized(network.get_submodule(layer)):
            raise PolicyError(
                f"layer {layer!r} cannot be quantized; "
                "only Conv1d, Conv2d and Linear layers of the network can"
            )

        _, bits = policy.bits(layer)
        if bits < FULL_WIDTH:
            for call in calls[layer]:
                found.append((call, bits))

    return found


def _points_of_inputs(calls: list[tuple[fx.Node, int]]) -> list[RoundedTensor]:
    """What layers read, each at its own bits and for itself alone."""
    points = []
    for (node, bits), layers in _readers(calls).items():
        point = RoundedTensor(node, bits, like=node, readers=tuple(layers))
        points.append(point)
    return points


def _points_of_integers(
    network: fx.GraphModule, calls: list[tuple[fx.Node, int]]
) -> list[RoundedTensor]:
    """What layers write and read, for all readers alike, and both summands of sums."""
    rounded: dict[fx.Node, int] = {}
    for call, bits in calls:
        written = _written(network, call)
        if _is_read_on(written):
            rounded[written] = bits

    points = [RoundedTensor(node, bits, like=node) for node, bits in rounded.items()]

    for node, bits in _readers(calls):
        if rounded.get(node) == bits:
            continue

        # Integers for one reader are the same integers for all.
        rounded[node] = bits
        point = RoundedTensor(node, bits, like=node)
        points.append(point)

    return points + _moved_summands(network, rounded)


def _points_of_sums(
    network: fx.GraphModule, calls: list[tuple[fx.Node, int]]
) -> list[RoundedTensor]:
    """Both summands of every sum of tensors, alike: a range and as many bits as one of them has.

    They have one bit more than the layers around have, as far as there are: it is for the sign.
    """
    if not calls:
        return []
    bits_of = dict(calls)
    points = []
    for node in network.graph.nodes:
        if not is_sum(node):
            continue

        summands = tuple(node.all_input_nodes)
        around = [bits_of[call] for call in _layers_around(network, node) if call in bits_of]
        bits = min(_WIDEST, 1 + max(around, default=_WIDEST))
        first, *others = summands
        for summand in summands:
            point = RoundedTensor(summand, bits, first, readers=(node,), beside=tuple(others))
            points.append(point)
    return points


def _points_of_means(
    network: fx.GraphModule, calls: list[tuple[fx.Node, int]]
) -> list[RoundedTensor]:
    """What is averaged, where that is neither rounded nor a sum of what is.

    It has as many bits as the layer that reads the average.
    """
    bits_of = dict(calls)
    points = []
    for node in network.graph.nodes:
        if not averages(network, node):
            continue
        source = node.all_input_nodes[0]
        if not bits_of or sums_up(network, source):
            continue
        readers = _nearest(network, node, "users")
        bits = max((bits_of[call] for call in readers if call in bits_of), default=_WIDEST)
        points.append(RoundedTensor(source, bits, source, readers=(node,)))
    return points


def _layers_around(network: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """The layers that write what a node reads, and those that read what it writes."""
    return [*_nearest(network, node, "all_input_nodes"), *_nearest(network, node, "users")]


def _nearest(network: fx.GraphModule, node: fx.Node, direction: str) -> list[fx.Node]:
    """The first layers on all ways from a node."""
    found: dict[fx.Node, None] = {}
    seen = {node}
    ahead = list(getattr(node, direction))
    while ahead:
        here = ahead.pop()
        if here in seen:
            continue
        seen.add(here)
        module = module_of(network, here)
        if module is not None and can_be_quantized(module):
            found[here] = None
        else:
            ahead += getattr(here, direction)
    return list(found)


def _readers(calls: list[tuple[fx.Node, int]]) -> dict[tuple[fx.Node, int], list[fx.Node]]:
    """Which layers read a tensor at how many bits."""
    readers: dict[tuple[fx.Node, int], list[fx.Node]] = {}
    for call, bits in calls:
        source = call.all_input_nodes[0]
        readers.setdefault((source, bits), []).append(call)
    return readers


def _written(network: fx.GraphModule, call: fx.Node) -> fx.Node:
    """The tensor a kernel writes: behind its folded batch norm and the clipping that it does."""
    node = call
    while len(node.users) == 1:
        (user,) = node.users
        if clips(network, user):
            return user

        module = module_of(network, user)
        if not isinstance(module, nn.Identity):
            break
        node = user

    return node


def _is_read_on(node: fx.Node) -> bool:
    """Whether anything but the end of the network reads a tensor: results leave it unrounded."""
    return any(user.op != "output" for user in node.users)


def _moved_summands(network: fx.GraphModule, rounded: dict[fx.Node, int]) -> list[RoundedTensor]:
    """Summands that only moved elements of rounded tensors.

    Rounding them again changes nothing and keeps the sum whole.
    """
    points: dict[fx.Node, RoundedTensor] = {}
    for node in network.graph.nodes:
        if not is_operator(node) or operator_name(node) != "add":
            continue

        for summand in node.all_input_nodes:
            source = _moved_from(network, summand, rounded)
            if source is summand or source not in rounded:
                continue

            bits = rounded[source]
            points[summand] = RoundedTensor(summand, bits, like=source)

    return list(points.values())


def _moved_from(network: fx.GraphModule, node: fx.Node, rounded: dict[fx.Node, int]) -> fx.Node:
    """The nearest tensor that is rounded, or computed, of which a node moves the elements."""
    source = node
    while source not in rounded and only_moves(network, source):
        source = source.all_input_nodes[0]
    return source
