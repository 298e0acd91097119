"""The decisions of a search and what the budget leaves to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sartor.budget import Budget, Quantity
from sartor.cost import Cost, CostModel, FloatArray, Options
from sartor.errors import BudgetError, TraceError, UsageError
from sartor.graph import IntArray, LayerSpec, Network
from sartor.policy import Policy

Granularity = Literal["channels", "weights"]

#: Fine-grained keep ratios are whole percents.
_PERCENT = 100
#: AMC's a_max for fine-grained pruning: at most this share of a layer's weights is removed.
_FINE_GRAINED_LIMIT = {"conv": 0.8, "depthwise": 0.8, "linear": 0.98}


@dataclass(frozen=True, eq=False)
class Decision:
    """One step of an episode: how many of ``size`` units (or percents) to keep, out of the ascending ``choices``."""

    name: str
    size: int
    choices: IntArray
    layer: LayerSpec


class Problem:
    """All decisions in forward order, their joint cost, and the budget.

    ``min_keep`` is the smallest keep ratio of a group; ``multiple`` rounds channel counts to what a target likes.
    Raises `BudgetError`, with the smallest reachable value, if the budget cannot be met.
    """

    def __init__(
        self,
        cost_model: CostModel,
        budget: Budget,
        *,
        granularity: Granularity = "channels",
        min_keep: float = 0.2,
        multiple: int = 1,
    ) -> None:
        if not 0 < min_keep <= 1:
            raise UsageError(f"min_keep is {min_keep}; it must lie in (0, 1]")
        if multiple < 1:
            raise UsageError(f"multiple is {multiple}; it must be at least 1")
        self.cost_model, self.budget, self.granularity = cost_model, budget, granularity
        network = cost_model.network
        if granularity == "channels":
            self.decisions = _channel_decisions(network, min_keep, multiple)
        else:
            self.decisions = _weight_decisions(network)
        if not self.decisions:
            reasons = sorted({item.reason for item in network.kept_whole})
            raise TraceError(f"the network has nothing to prune: {'; '.join(reasons) or 'it has no Conv or Linear layer'}")
        self.sizes = np.array([decision.size for decision in self.decisions], dtype=np.int64)
        self.lowest = np.array([decision.choices[0] for decision in self.decisions], dtype=np.int64)
        self.original: Cost = cost_model.original
        self._limits = {bound: bound.limit(getattr(self.original, bound.quantity)) for bound in budget.bounds}
        self._require_reachable()

    def __len__(self) -> int:
        return len(self.decisions)

    def total(self, quantity: Quantity, counts: IntArray) -> FloatArray:
        """One quantity of many policies, given as counts (policies, decisions)."""
        if self.granularity == "channels":
            return self.cost_model.total(quantity, counts)
        full = np.broadcast_to(self.cost_model.sizes, (len(counts), len(self.cost_model.sizes)))
        return self.cost_model.total(quantity, full, Options(densities=counts / _PERCENT))

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy uses up; 1 is just affordable. 0 without a budget."""
        shares = [self.total(bound.quantity, counts) / limit for bound, limit in self._limits.items()]
        return np.max(shares, axis=0) if shares else np.zeros(len(counts))

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        ratios = {d.name: int(count) / d.size for d, count in zip(self.decisions, counts, strict=True)}
        return Policy(channels=ratios) if self.granularity == "channels" else Policy(weights=ratios)

    def choose(self, decided: IntArray, ratio: float) -> int:
        """The count executed for a proposed keep ratio, after the counts ``decided`` so far.

        Bounded above so that the budget can still be met if all later decisions keep least, and below so that it is not
        wasted if all later decisions keep everything.
        """
        step = len(decided)
        decision = self.decisions[step]
        choices = decision.choices
        wanted = int(np.abs(choices - ratio * decision.size).argmin())
        if not self._limits:
            return int(choices[wanted])
        rows = np.repeat(np.concatenate([decided, [0], self.lowest[step + 1 :]])[None], len(choices), axis=0)
        rows[:, step] = choices
        affordable = int(np.searchsorted(self.usage(rows), 1 + 1e-12, side="right")) - 1
        rows[:, step + 1 :] = self.sizes[step + 1 :]
        frugal = int(np.searchsorted(self.usage(rows), 1 - 1e-12, side="left"))
        return int(choices[max(0, min(max(wanted, frugal), affordable))])

    def execute(self, ratios: FloatArray) -> IntArray:
        """Counts that an episode executes when these ratios are proposed."""
        decided = np.empty(0, dtype=np.int64)
        for ratio in ratios:
            decided = np.append(decided, self.choose(decided, float(ratio)))
        return decided

    def _require_reachable(self) -> None:
        for bound, limit in self._limits.items():
            smallest = float(self.total(bound.quantity, self.lowest[None])[0])
            if smallest > limit:
                original = getattr(self.original, bound.quantity)
                raise BudgetError(
                    f"budget {bound} cannot be met: the smallest reachable value is {bound.quantity}<={smallest:.0f} "
                    f"({100 * smallest / original:.1f}% of {original}) with the allowed keep ratios"
                )


def _channel_decisions(network: Network, min_keep: float, multiple: int) -> list[Decision]:
    decisions = []
    for group in network.groups:
        lowest = max(1, int(np.ceil(min_keep * group.size - 1e-9)))
        choices = np.arange(lowest, group.size + 1)
        choices = choices[(choices % multiple == 0) | (choices == group.size)]
        decisions.append(Decision(group.name, group.size, choices, network.layer_by_name[group.consumers[0]]))
    return decisions


def _weight_decisions(network: Network) -> list[Decision]:
    decisions = []
    for layer in network.layers:
        lowest = max(1, round(_PERCENT * (1 - _FINE_GRAINED_LIMIT[layer.kind])))
        decisions.append(Decision(layer.name, _PERCENT, np.arange(lowest, _PERCENT + 1), layer))
    return decisions
