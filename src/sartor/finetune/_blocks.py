"""Values within a network, held against those within its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

#: Lengths below this are of values that are all but zero.
_SHORTEST = 1e-6
#: Of the distance in the loss: then it weighs about as much as softened outputs do.
_WEIGHT = 10.0


class WithValues(nn.Module):
    """A network that gives the values of some of its nodes beside its output.

    Its parameters are the network's own.

    >>> network = fx.symbolic_trace(nn.Sequential(nn.ReLU(), nn.Flatten()))
    >>> output, (relu,) = WithValues(network, ["_0"])(torch.tensor([[[-1.0, 2.0]]]))
    >>> output, relu
    (tensor([[0., 2.]]), tensor([[[0., 2.]]]))

    Args:
        network: Traced.
        names: Of nodes.
    """

    def __init__(self, network: fx.GraphModule, names: Sequence[str]) -> None:
        super().__init__()
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        output = graph.graph_copy(network.graph, copies)

        copy_of = {node.name: copied for node, copied in copies.items()}
        values = tuple(copy_of[name] for name in names)
        graph.output((output, values))
        self.network = fx.GraphModule(network, graph)

    def forward(self, *inputs: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
        """The output of the network, and the values."""
        output, values = self.network(*inputs)
        return output, values


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where a student's values are held against its teacher's.

    Attributes:
        channels: By the name of a node, the teacher's channels that the student has there.
    """

    channels: Mapping[str, Tensor]

    @classmethod
    def shared(
        cls,
        student: fx.GraphModule,
        teacher: fx.GraphModule,
        image: Tensor,
        channels: Mapping[str, Tensor],
    ) -> Blocks | None:
        """Those of the places that both have, with as many channels as asked for; None without.

        Both are tried on one ``image``, (1, …).
        """
        names = [name for name in channels if _has(student, name) and _has(teacher, name)]
        with torch.no_grad():
            _, mine = WithValues(student, names)(image)
            _, theirs = WithValues(teacher, names)(image)

        kept = {}
        for name, value, wanted in zip(names, mine, theirs, strict=True):
            there = channels[name].to(wanted.device)
            if value.shape == wanted[:, there].shape:
                kept[name] = there
        return cls(kept) if kept else None

    def distance(self, values: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Mean squared distance of values, relative to the teacher's mean square, (); weighed."""
        distances = []
        places = self.channels.values()
        for value, theirs, channels in zip(values, wanted, places, strict=True):
            exact = theirs[:, channels].float()
            missed = value.float() - exact
            length = exact.square().mean()
            distance = missed.square().mean() / length.clamp_min(_SHORTEST)
            distances.append(distance)

        mean = torch.stack(distances).mean()
        return _WEIGHT * mean


def _has(network: fx.GraphModule, name: str) -> bool:
    return any(node.name == name for node in network.graph.nodes)
