"""Values inside a network for more images than can run through it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, fx

from sartor.graph import Walk, needed

#: What values that are kept may take, in bytes.
_ROOM = 2**27


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

    def of(self, node: fx.Node, later: Collection[fx.Node]) -> Iterator[Tensor]:
        """The value of a node for each part; ``later`` are nodes that will be asked for, too."""
        if node in self._kept:
            yield from self._kept[node]
            return

        fresh: list[Tensor] = []
        superfluous: list[fx.Node] = []
        is_kept = False
        for number in range(len(self.parts)):
            value = self._compute(node, number)
            # By the first part, for it is no smaller than the others.
            if not number:
                serving = needed(later, {*self._kept, node})
                superfluous = [other for other in self._kept if other not in serving]
                is_kept = node in serving and self._has_room_for(node, value, superfluous)
            if is_kept:
                fresh.append(value)
                # Part by part, so that both are never there as a whole.
                for other in superfluous:
                    self._kept[other][number] = value.new_empty(0)
            yield value

        if is_kept:
            self._kept[node] = fresh
            for other in superfluous:
                del self._kept[other]

    def forget_all_but(self, wanted: Collection[fx.Node]) -> None:
        """Drop what no longer serves to compute these nodes."""
        for node in self._kept.keys() - needed(wanted, self._kept):
            del self._kept[node]

    def _has_room_for(self, node: fx.Node, part: Tensor, superfluous: list[fx.Node]) -> bool:
        if node.op == "placeholder":
            return False
        taken = part.nbytes * len(self.parts)
        for other, parts in self._kept.items():
            if other not in superfluous:
                taken += sum(value.nbytes for value in parts)
        return taken <= self.room

    def _compute(self, node: fx.Node, number: int) -> Tensor:
        known = {kept: parts[number] for kept, parts in self._kept.items()}
        # Weights stay in fp32: only what runs in the context is computed in fewer bits.
        is_reduced = self.dtype != torch.float32
        with torch.autocast("cpu", self.dtype, enabled=is_reduced):
            return Walk(self.network, self.parts[number]).run_to(node, known)
