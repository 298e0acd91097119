"""From counts, one per decision, to policies and to what the cost model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sartor.cost import CostModel, LayerSettings
from sartor.machine import FloatArray, IntArray
from sartor.policy import Policy
from sartor.problem._decisions import BitsDecision, Decision, WeightDecision
from sartor.problem._drafts import CostDraft, PolicyDraft

Number = TypeVar("Number", bound=np.generic)


class DecisionMap:
    """What counts of decisions mean; all that is not decided stays as in ``base``."""

    def __init__(self, cost_model: CostModel, decisions: Sequence[Decision], base: Policy) -> None:
        self._decisions = decisions
        self._base = base

        network = cost_model.network
        groups = [group.name for group in network.groups]
        layers = [layer.name for layer in network.layers]
        self._group_columns = _columns(groups)
        self._layer_columns = _columns(layers)

        counts, settings = cost_model.row(base)
        self._counts = counts
        self._densities: FloatArray | None = None
        self._weight_bits: IntArray | None = None
        self._activation_bits: IntArray | None = None

        # The rest stays None, which spares the cost model what nothing is done to.
        if base.weights or _any(decisions, WeightDecision):
            self._densities = settings.densities
        if base.quantized or _any(decisions, BitsDecision):
            self._weight_bits = settings.weight_bits
            self._activation_bits = settings.activation_bits

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts (decisions,)."""
        draft = PolicyDraft.of(self._base)
        for decision, count in zip(self._decisions, counts, strict=True):
            decision.write(draft, int(count))
        return draft.policy()

    def split(self, counts: IntArray) -> tuple[IntArray, LayerSettings]:
        """What the cost model takes of counts (policies, decisions).

        Channels of groups (policies, groups) and `LayerSettings` of rows (policies, layers).
        """
        draft = self._draft(len(counts))
        for decision, column in zip(self._decisions, counts.T, strict=True):
            decision.write_costs(draft, column)
        return draft.counts, draft.settings()

    def _draft(self, policies: int) -> CostDraft:
        """Rows that are all the base."""
        return CostDraft(
            self._group_columns,
            self._layer_columns,
            np.repeat(self._counts, policies, axis=0),
            _repeat(self._densities, policies),
            _repeat(self._weight_bits, policies),
            _repeat(self._activation_bits, policies),
        )


def _repeat(row: npt.NDArray[Number] | None, count: int) -> npt.NDArray[Number] | None:
    if row is None:
        return None
    return np.repeat(row, count, axis=0)


def _columns(names: Sequence[str]) -> dict[str, int]:
    return {name: column for column, name in enumerate(names)}


def _any(decisions: Sequence[Decision], kind: type[Decision]) -> bool:
    return any(isinstance(decision, kind) for decision in decisions)
