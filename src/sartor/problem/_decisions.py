"""The decisions of a search: one class for each way to make a group or layer cheaper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sartor.budget import Quantity
from sartor.graph import LayerSpec
from sartor.machine import FloatArray, IntArray
from sartor.problem._drafts import CostDraft, PolicyDraft

if TYPE_CHECKING:
    from sartor.compression import Compressor
    from sartor.sensitivity import Sensitivity

#: Weight and activation bits of a layer.
Precision = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Decision(ABC):
    """One step of an episode: how many of ``size`` to keep, out of the ascending ``choices``.

    Attributes:
        name: What is decided on; unique among the decisions of a problem.
        size: What the original has.
        choices: Counts to choose from, ascending (choices,).
        layer: The layer that is decided on, or the first that reads the group.

    """

    name: str
    size: int
    choices: IntArray
    layer: LayerSpec

    #: Whether it is about precision; all other decisions prune.
    quantizes: ClassVar[bool] = False
    #: The quantity that tells its choices apart.
    cost_quantity: ClassVar[Quantity]

    def nearest(self, counts: FloatArray) -> IntArray:
        """Places of the choices nearest to some counts; the smaller of two equally near ones."""
        distances = np.abs(self.choices - counts[:, None])
        places: IntArray = distances.argmin(1)
        return places

    @abstractmethod
    def errors(self, compressor: Compressor) -> FloatArray:
        """Estimated error of each choice (choices,)."""

    @abstractmethod
    def omega(self, sensitivity: Sensitivity) -> FloatArray:
        """Ω of each choice (choices,), in nats, linear between the values it was measured at."""

    @abstractmethod
    def write(self, draft: PolicyDraft, count: int) -> None:
        """Write a count into one policy."""

    @abstractmethod
    def write_costs(self, draft: CostDraft, counts: IntArray) -> None:
        """Write counts (policies,), one for each policy, into what the cost model takes."""


class ChannelDecision(Decision):
    """How many channels of a group to keep."""

    cost_quantity = "macs"

    def errors(self, compressor: Compressor) -> FloatArray:
        return compressor.ranking.errors[self.name][self.choices]

    def omega(self, sensitivity: Sensitivity) -> FloatArray:
        return sensitivity.at("channels", self.name, self.choices / self.size)

    def write(self, draft: PolicyDraft, count: int) -> None:
        draft.channels[self.name] = count / self.size

    def write_costs(self, draft: CostDraft, counts: IntArray) -> None:
        column = draft.group_columns[self.name]
        draft.counts[:, column] = counts


class WeightDecision(Decision):
    """How many percent of a layer's single weights to keep."""

    cost_quantity = "params"

    def errors(self, compressor: Compressor) -> FloatArray:
        return compressor.weight_errors(self.name, self.choices / self.size)

    def omega(self, sensitivity: Sensitivity) -> FloatArray:
        """Zeros: Ω of single weights is not measured."""
        return np.zeros(len(self.choices))

    def write(self, draft: PolicyDraft, count: int) -> None:
        draft.weights[self.name] = count / self.size

    def write_costs(self, draft: CostDraft, counts: IntArray) -> None:
        # `DecisionMap` makes them for all drafts if any of its decisions is of this class.
        assert draft.densities is not None
        column = draft.layer_columns[self.name]
        draft.densities[:, column] = counts / self.size


@dataclass(frozen=True, eq=False)
class BitsDecision(Decision):
    """Which of its precisions a layer takes: count k is the k-th, from the coarsest.

    Attributes:
        precisions: Weight and activation bits, in ascending order of their product.

    """

    precisions: tuple[Precision, ...]

    quantizes = True
    cost_quantity = "bops"

    @cached_property
    def _pairs(self) -> IntArray:
        """Precisions as an array (choices, 2)."""
        return np.array(self.precisions, dtype=np.int64)

    def errors(self, compressor: Compressor) -> FloatArray:
        return compressor.precision_errors(self.layer.name, self.precisions)

    def omega(self, sensitivity: Sensitivity) -> FloatArray:
        """The sum of what the bits of weights and those of activations cause alone."""
        name = self.layer.name

        # Float, since what was measured is interpolated at these bits.
        weight_bits, activation_bits = self._pairs.T.astype(np.float64)

        of_weights = sensitivity.at("weight_bits", name, weight_bits)
        of_activations = sensitivity.at("activation_bits", name, activation_bits)
        return of_weights + of_activations

    def write(self, draft: PolicyDraft, count: int) -> None:
        layer = self.layer.name
        weight_bits, activation_bits = self.precisions[count - 1]
        draft.weight_bits[layer] = weight_bits
        draft.activation_bits[layer] = activation_bits

    def write_costs(self, draft: CostDraft, counts: IntArray) -> None:
        # `DecisionMap` makes them for all drafts if any of its decisions quantizes.
        assert draft.weight_bits is not None
        assert draft.activation_bits is not None

        # Counts begin with 1, rows with 0.
        pairs = self._pairs[counts - 1]
        weight_bits, activation_bits = pairs.T

        column = draft.layer_columns[self.layer.name]
        draft.weight_bits[:, column] = weight_bits
        draft.activation_bits[:, column] = activation_bits
