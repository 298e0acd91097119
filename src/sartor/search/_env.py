"""The search as a gymnasium environment (AMC, section 3.1): one step per decision, in forward order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from sartor.budget import Quantity
from sartor.machine import Float32Array, FloatArray, IntArray
from sartor.problem import Problem

#: Names of the observation's entries, each scaled to [0, 1] by its range over the decisions.
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
    """Observation: 11 features. Action: the keep ratio proposed, in [0, 1]; ``info['executed']`` is the one carried out.

    Only the last step is rewarded: with ``reward_of(counts)``, called once per episode.
    """

    def __init__(self, problem: Problem, reward_of: Callable[[IntArray], float]) -> None:
        self.problem, self._reward_of = problem, reward_of
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self._static = _static_features(problem)
        self._quantity = problem.cost_quantity
        self._share = _cost_shares(problem, self._quantity)
        self._counts = np.empty(0, dtype=np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._counts = np.empty(0, dtype=np.int64)
        return self._observe(), {}

    def step(
        self, action: Float32Array | float
    ) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Decide on the next group or layer."""
        ratio = float(np.asarray(action).reshape(-1)[0])
        self._counts = np.append(self._counts, self.problem.choose(self._counts, ratio))
        info = {"executed": float(self._counts[-1] / self.problem.sizes[len(self._counts) - 1])}
        done = len(self._counts) == len(self.problem)
        reward = self._reward_of(self._counts) if done else 0.0
        return self._observe(), reward, done, False, info

    def _observe(self) -> Float32Array:
        step = len(self._counts)
        row = min(step, len(self.problem) - 1)
        done = np.concatenate([self._counts, self.problem.highest[step:]])[None]
        left = float(self.problem.total(self._quantity, done)[0]) / getattr(
            self.problem.original, self._quantity
        )
        rest = float(self._share[step:].sum()) if step < len(self.problem) else 0.0
        previous = float(self._counts[-1] / self.problem.sizes[step - 1]) if step else 1.0
        dynamic = np.clip([1 - left, rest, previous], 0, 1)
        return np.concatenate([self._static[row], dynamic]).astype(np.float32)


def _static_features(problem: Problem) -> FloatArray:
    rows = []
    for index, decision in enumerate(problem.decisions):
        layer = decision.layer
        size = (*layer.input_size, 1, 1)[:2]
        rows.append(
            [
                index,
                layer.out_channels,
                layer.in_channels,
                *size,
                layer.stride[0],
                layer.kernel[0],
                layer.macs,
            ]
        )
    table = np.array(rows, dtype=np.float64)
    low, span = table.min(0), np.ptp(table, axis=0)
    return np.divide(table - low, span, out=np.zeros_like(table), where=span > 0)


def _cost_shares(problem: Problem, quantity: Quantity) -> FloatArray:
    """What each decision alone can save at most, as a share of what all of them can."""
    alone = np.repeat(problem.highest[None], len(problem), axis=0)
    np.fill_diagonal(alone, problem.lowest)
    saved = problem.total(quantity, problem.highest[None])[0] - problem.total(quantity, alone)
    return saved / max(saved.sum(), 1e-30)
