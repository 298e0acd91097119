"""Values inside a network for more images than can run through it at once."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, fx

from sartor.graph import Walk, needed

#: What values that are kept may take, in bytes.
_ROOM = 3 * 2**25


class PartedValues:
    """Values of nodes of a network, by parts of its inputs.

    Those that were asked for are kept while there is room for them; others are computed again
    from what is kept, so that memory is bounded and hardly any layer runs twice. Modules may be
    exchanged as long as no value that is kept depends on them.

    Args:
        network: Whose nodes are asked for.
        parts: Its inputs, part by part.
        dtype: What is computed in; weights stay in fp32.
        room: Bytes of values that are kept.
    """

    def __init__(
        self,
        network: fx.GraphModule,
        parts: Sequence[tuple[Tensor, ...]],
        dtype: torch.dtype = torch.float32,
        room: int = _ROOM,
    ) -> None:
        self.network = network
        self.parts = parts
        self.dtype = dtype
        self.room = room
        self._kept: dict[fx.Node, list[Tensor]] = {}

    def of(
        self, nodes: Sequence[fx.Node], later: Collection[fx.Node]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Values of nodes for each part; ``later`` are nodes that will be asked for, too."""
        kept: dict[fx.Node, list[Tensor]] = {}
        superfluous: list[fx.Node] = []
        for number in range(len(self.parts)):
            values = self._compute(nodes, number)
            if not number:
                serving = needed(later, {*self._kept, *nodes})
                superfluous = [other for other in self._kept if other not in serving]
                # By the first part, for it is no smaller than the others.
                fresh = {node: value for node, value in values.items() if node in serving}
                kept = {node: [] for node in self._with_room(fresh, superfluous)}

            for node, parts in kept.items():
                parts.append(values[node])
            if kept:
                # Part by part, so that both are never there as a whole.
                for other in superfluous:
                    self._kept[other][number] = self._kept[other][number].new_empty(0)
            yield tuple(values[node] for node in nodes)

        if kept:
            for other in superfluous:
                del self._kept[other]
        self._kept.update(kept)

    def forget_all_but(self, wanted: Collection[fx.Node]) -> None:
        """Drop what no longer serves to compute these nodes."""
        for node in self._kept.keys() - needed(wanted, self._kept):
            del self._kept[node]

    def _with_room(
        self, fresh: dict[fx.Node, Tensor], superfluous: Collection[fx.Node]
    ) -> list[fx.Node]:
        """Those of some nodes that can be kept, given the first part of their values."""
        taken = 0
        for other, parts in self._kept.items():
            if other not in superfluous:
                taken += sum(value.nbytes for value in parts)

        chosen = []
        for node, part in fresh.items():
            size = part.nbytes * len(self.parts)
            is_new = node.op != "placeholder" and node not in self._kept
            if is_new and taken + size <= self.room:
                chosen.append(node)
                taken += size
        return chosen

    def _compute(self, nodes: Sequence[fx.Node], number: int) -> dict[fx.Node, Tensor]:
        known = {kept: parts[number] for kept, parts in self._kept.items()}
        # Weights stay in fp32: only what runs in the context is computed in fewer bits.
        is_reduced = self.dtype != torch.float32
        reduced = torch.autocast("cpu", self.dtype, enabled=is_reduced)
        with reduced, warnings.catch_warnings():
            # Of norms whose weights stay in fp32, which is as it should be.
            warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
            values = Walk(self.network, self.parts[number]).run_to(nodes, known)
        return dict(zip(nodes, values, strict=True))
