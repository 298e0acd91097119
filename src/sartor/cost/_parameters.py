"""Parameters of a network that are no weights of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartor.graph import Network, Slot
from sartor.machine import FloatArray


@dataclass(frozen=True, eq=False)
class ParameterCounts:
    """Parameters beside the weights of layers, each counted once.

    Attributes:
        biases: Per output channel of each layer, (layers,): 1 or 0.
        per_channel: Per channel of each norm, (norms,).
        fixed: All that no policy changes.
        shared: Pairs of layers, by index: one whose weights an earlier one has, and that one.
    """

    biases: FloatArray
    per_channel: FloatArray
    fixed: int
    shared: list[tuple[int, int]]

    @classmethod
    def of(cls, network: Network, layers: Sequence[Slot], norms: Sequence[Slot]) -> ParameterCounts:
        """Those of a network with these layers and norms, both in forward order."""
        # Weights go first: what else is the same as one of them is not counted again.
        finder = _Finder(network)
        has_own_weight = [finder.is_first(slot, "weight") for slot in layers]
        biases = [finder.is_first(slot, "bias") for slot in layers]
        per_channel = [finder.count_first(slot) for slot in norms]
        names = [slot.name for slot in layers]

        return cls(
            biases=np.array(biases, dtype=np.float64),
            per_channel=np.array(per_channel, dtype=np.float64),
            fixed=finder.count_others(),
            shared=_shared_weights(network, names, has_own_weight),
        )


class _Finder:
    """Finds parameters of a network, each in the first module that has it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._seen: set[int] = set()

    def is_first(self, slot: Slot, name: str) -> bool:
        """Whether a module has a parameter of this name that none before it had."""
        module = self.network.module.get_submodule(slot.name)
        parameter = module._parameters.get(name)
        if parameter is None or id(parameter) in self._seen:
            return False

        self._seen.add(id(parameter))
        return True

    def count_first(self, slot: Slot) -> int:
        """How many parameters per channel of a norm no module before it had."""
        return sum(self.is_first(slot, name) for name in slot.per_channel)

    def count_others(self) -> int:
        """Numbers in all parameters that were not found yet."""
        total = 0
        for parameter in self.network.module.parameters():
            if id(parameter) not in self._seen:
                total += parameter.numel()
        return total


def _shared_weights(
    network: Network, names: list[str], has_own_weight: list[bool]
) -> list[tuple[int, int]]:
    weights = []
    for name in names:
        layer = network.module.get_submodule(name)
        weights.append(id(layer._parameters["weight"]))

    pairs = []
    for index, is_own in enumerate(has_own_weight):
        if not is_own:
            owner = weights.index(weights[index])
            pairs.append((index, owner))

    return pairs
