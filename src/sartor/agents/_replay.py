"""The replay memory of the actor-critic agents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sartor.machine import Float32Array


@dataclass(frozen=True)
class Batch:
    """Some transitions.

    Attributes:
        state: What was acted on, (n, features).
        action: What was done, (n, actions).
        reward: What it was worth, (n, 1).
        following: The state that followed, (n, features).
        terminal: 1 where the episode ended, else 0, (n, 1).
    """

    state: Tensor
    action: Tensor
    reward: Tensor
    following: Tensor
    terminal: Tensor


class Replay:
    """The last transitions, each a row of one array: state, following, action, reward, terminal."""

    def __init__(self, capacity: int, features: int, actions: int) -> None:
        self._widths = [features, features, actions, 1, 1]
        self._rows = np.empty((capacity, sum(self._widths)), dtype=np.float32)
        self.stored = 0

    def add(
        self,
        state: Float32Array,
        following: Float32Array,
        action: Float32Array,
        reward: float,
        *,
        terminal: bool,
    ) -> None:
        """Store one, over the oldest where there is no room."""
        place = self.stored % len(self._rows)
        self._rows[place] = [*state, *following, *action, reward, float(terminal)]
        self.stored += 1

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Transitions drawn with replacement."""
        filled = min(self.stored, len(self._rows))
        drawn = rng.integers(0, filled, count)
        rows = torch.from_numpy(self._rows[drawn])
        state, following, action, reward, terminal = rows.split(self._widths, dim=1)
        return Batch(state, action, reward, following, terminal)
