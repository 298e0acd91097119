"""The search as a gymnasium environment (AMC, section 3.2): one step for each decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from sartor.budget import Quantity
from sartor.graph import LayerSpec
from sartor.machine import Float32Array, FloatArray, IntArray
from sartor.policy import FULL_WIDTH
from sartor.problem import Problem
from sartor.scoring import Outcome

#: Names of the observation's entries (AMC, equation 1), each scaled to [0, 1]: what a layer is, by
#: its range over the decisions; ``reduced`` and ``rest``, as shares of the original's cost.
FEATURES = (
    "index",
    "out_channels",
    "in_channels",
    "height",
    "width",
    "stride",
    "kernel",
    "macs",
    "reduced",
    "rest",
    "previous_action",
)


class CompressionEnv(gymnasium.Env[Float32Array, Float32Array]):
    """Decisions in forward order; after the last one the policy is evaluated and rewarded.

    Observation: the eleven `FEATURES`. ``reduced`` is what the decisions so far save, ``rest`` what
    the layers behind the present one cost; both are counted in what tells the choices apart (MACs,
    parameters or BOPs). ``previous_action`` is the keep ratio executed last, 1 before the first.

    Action: the keep ratio proposed, in [0, 1]. ``info["executed"]`` is the one carried out; after
    the last step ``info["outcome"]`` is what ``evaluate(counts)`` returned and the reward is
    ``reward(outcome)``. All other steps are rewarded by 0.
    """

    def __init__(
        self,
        problem: Problem,
        evaluate: Callable[[IntArray], Outcome],
        reward: Callable[[Outcome], float],
    ) -> None:
        self.problem = problem
        self.evaluate = evaluate
        self.reward = reward
        self.observation_space = _unit_box(len(FEATURES))
        self.action_space = _unit_box(1)
        self.counts = _none_decided()

        self._quantity = problem.cost_quantity
        self._static = _static_features(problem)
        self._rest = _later_shares(problem, self._quantity)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self.counts = _none_decided()
        return self._observe(), {}

    def step(
        self, action: Float32Array | float
    ) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Decide on the next group or layer."""
        # Agents propose a number, gymnasium's own tools an array of one.
        ratio = float(np.asarray(action).reshape(-1)[0])
        count = self.problem.choose(self.counts, ratio)
        self.counts = np.append(self.counts, count)

        info: dict[str, Any] = {"executed": self._executed}
        reward = 0.0
        terminated = len(self.counts) == len(self.problem)
        if terminated:
            outcome = self.evaluate(self.counts)
            info["outcome"] = outcome
            reward = self.reward(outcome)

        truncated = False
        return self._observe(), reward, terminated, truncated, info

    @property
    def _executed(self) -> float:
        """The keep ratio carried out last."""
        if not len(self.counts):
            return 1.0
        return float(self.counts[-1] / self.problem.sizes[len(self.counts) - 1])

    def _observe(self) -> Float32Array:
        """What the next decision is about; after the last, what that was about."""
        decided = len(self.counts)
        row = min(decided, len(self.problem) - 1)
        reduced = 1 - self._left()
        rest = self._rest[decided] if decided < len(self.problem) else 0.0

        # Rounding may leave the range by a little.
        dynamic = np.clip([reduced, rest, self._executed], 0, 1)
        static = self._static[row]
        observation = np.concatenate([static, dynamic])
        return observation.astype(np.float32)

    def _left(self) -> float:
        """The cost if all decisions to come keep everything, as a share of the original's."""
        whole = self.problem.highest[len(self.counts) :]
        counts = np.concatenate([self.counts, whole])
        cost = float(self.problem.total(self._quantity, counts[None])[0])
        return cost / self.problem.of_original(self._quantity)


def _none_decided() -> IntArray:
    return np.empty(0, dtype=np.int64)


def _unit_box(length: int) -> gymnasium.Space[Float32Array]:
    return gymnasium.spaces.Box(0.0, 1.0, (length,), np.float32)


def _static_features(problem: Problem) -> FloatArray:
    """What does not change during a search (decisions, 8), each column scaled to its range."""
    rows = []
    for index, decision in enumerate(problem.decisions):
        shape = _shape(decision.layer)
        rows.append([float(index), *shape])

    table = np.array(rows, dtype=np.float64)
    low = table.min(0)
    span = np.ptp(table, axis=0)

    # What is the same in all layers has no range: it stays 0.
    scaled = np.zeros_like(table)
    np.divide(table - low, span, out=scaled, where=span > 0)
    return scaled


def _shape(layer: LayerSpec) -> list[float]:
    # What enters a linear layer has one of these axes or neither.
    height, width = (*layer.input_size, 1, 1)[:2]
    return [
        layer.out_channels,
        layer.in_channels,
        height,
        width,
        layer.stride[0],
        layer.kernel[0],
        layer.macs,
    ]


def _later_shares(problem: Problem, quantity: Quantity) -> FloatArray:
    """What the layers behind each decision's cost (decisions,), as shares of the original's."""
    layers = problem.cost_model.network.layers
    places = {layer.name: place for place, layer in enumerate(layers)}
    costs = np.array([_layer_cost(layer, quantity) for layer in layers], dtype=np.float64)

    later = []
    for decision in problem.decisions:
        place = places[decision.layer.name]
        behind = costs[place + 1 :]
        later.append(behind.sum())

    return np.array(later) / problem.of_original(quantity)


def _layer_cost(layer: LayerSpec, quantity: Quantity) -> float:
    """The cost of one layer of the original; parameters are its weights."""
    if quantity == "params":
        return float(layer.weights)
    if quantity == "bops":
        return layer.macs * FULL_WIDTH**2
    return layer.macs
