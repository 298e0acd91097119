"""Values inside candidates, kept for those after them that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import chain, pairwise
from operator import attrgetter

from torch import Tensor, fx

from sartor.graph import Walk, needed
from sartor.machine import digest

#: A batch of images, from … to.
Span = tuple[int, int]
#: A node, and the digest of all that it is computed with.
_Place = tuple[fx.Node, str]


class Prefixes:
    """Runs candidates on the same images, from where they first differ from earlier ones.

    Values are kept where a network becomes narrower: few bytes stand for much work there. Those
    unused for longest make room for others. They are what computing them again would give.

    Args:
        images: How many images there are.
        room: Bytes of values that are kept.
    """

    def __init__(self, images: int, room: int) -> None:
        self._images = images
        self._room = room
        self._taken = 0
        self._kept: OrderedDict[_Place, dict[Span, Tensor]] = OrderedDict()
        self._nodes: dict[fx.Graph, list[fx.Node]] = {}

    def runner(
        self, network: fx.GraphModule, batch: Callable[[int, int], Tensor]
    ) -> Callable[[int, int], object]:
        """What gives a network's output for images from … to, which ``batch`` gives."""
        nodes = self._nodes_of(network, batch)
        places = [(node, _digest_up_to(network, node)) for node in nodes]
        *_, output = network.graph.nodes

        def run(start: int, stop: int) -> object:
            span = (start, stop)
            first = self._last_known(places, span)
            behind = places[first + 1 :]
            known = {} if first < 0 else {nodes[first]: self._kept[places[first]][span]}
            inputs = [] if known else [batch(start, stop)]

            wanted = [node for node, _ in behind]
            *values, result = Walk(network, inputs).run_to([*wanted, output], known)
            for place, value in zip(behind, values, strict=True):
                self._keep(place, span, value)
            return result

        return run

    def _last_known(self, places: list[_Place], span: Span) -> int:
        """The last of these whose value is kept for a batch, by its number; −1 if there is none."""
        for number in reversed(range(len(places))):
            place = places[number]
            if span in self._kept.get(place, {}):
                self._kept.move_to_end(place)
                return number
        return -1

    def _keep(self, place: _Place, span: Span, value: Tensor) -> None:
        self._kept.setdefault(place, {})[span] = value
        self._kept.move_to_end(place)
        self._taken += value.nbytes
        while self._taken > self._room:
            _, values = self._kept.popitem(last=False)
            self._taken -= sum(value.nbytes for value in values.values())

    def _nodes_of(
        self, network: fx.GraphModule, batch: Callable[[int, int], Tensor]
    ) -> list[fx.Node]:
        """Where values are kept; found once, by the first network with a graph."""
        if network.graph not in self._nodes:
            self._nodes[network.graph] = self._narrower(network, batch(0, 1))
        return self._nodes[network.graph]

    def _narrower(self, network: fx.GraphModule, image: Tensor) -> list[fx.Node]:
        """Nodes with fewer numbers than the ones before them that all passes through."""
        values: list[tuple[fx.Node, Tensor]] = []
        passes = _all_passes_through(network.graph)

        def visit(node: fx.Node, value: object) -> None:
            if node in passes and isinstance(value, Tensor):
                values.append((node, value))

        Walk(network, [image]).run(visit)
        found: list[fx.Node] = []
        left = self._room
        # The narrowest first: they are the last ones, and take least.
        for (_, before), (node, value) in reversed(list(pairwise(values))):
            taken = value.nbytes * self._images
            if value.nbytes < before.nbytes and taken <= left:
                found.insert(0, node)
                left -= taken
        return found


def _all_passes_through(graph: fx.Graph) -> set[fx.Node]:
    """Nodes of which alone all nodes behind them are computed."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    found = set()
    last = -1
    for node in graph.nodes:
        # Attributes are there whatever was computed.
        if node.op in ("get_attr", "output"):
            continue
        if last <= order[node]:
            found.add(node)
        last = max([last, *(order[user] for user in node.users)])
    return {node for node in found if node.op != "placeholder"}


def _digest_up_to(network: fx.GraphModule, node: fx.Node) -> str:
    """Of all tensors that the value of a node is computed with."""
    tensors: dict[str, Tensor] = {}
    for source in needed([node]):
        name = str(source.target)
        if source.op == "call_module":
            module = network.get_submodule(name)
            for part, tensor in chain(module.named_parameters(), module.named_buffers()):
                tensors[f"{name}.{part}"] = tensor
        elif source.op == "get_attr":
            tensors[name] = attrgetter(name)(network)
    return digest(dict(sorted(tensors.items())))
