"""Galen's agents (2022): one step per layer, one continuous action per compression parameter, DDPG.

With the method prune they decide one number per layer, with quantize two (weights, activations), with both three. Actions are
degrees of compression in [0, 1], mapped to what the target has by the paper's thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sartor.agents._actor_critic import ActorCritic, Replay
from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._ddpg import disturbed
from sartor.machine import Float32Array, FloatArray
from sartor.policy import FULL_WIDTH
from sartor.problem import BitsDecision, Decision, Precision

_HIDDEN = (400, 300)
_BATCH = 128
_REPLAY = 2000
_DISCOUNT = 0.99
_SIGMA, _SIGMA_DECAY = 0.5, 0.95
#: Episodes of random actions first.
_WARM_UP = 10
_REWARD_RATE = 0.05
#: Above the second threshold a layer gets 1 to 6 bits, above the first 8, else it stays in fp32 (the paper's numbers).
_INTEGER, _MIXED = 0.2, 0.5
_WIDEST_MIX = 6
#: Points of a sensitivity curve that the state shows, as shares of the way from the least to the most precise choice.
_POINTS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class _Step:
    """A layer's decisions: column of its channels or weights, and of its bits; −1 where there is none."""

    keep: int = -1
    bits: int = -1


class GalenAgent(VectorAgent):
    """The paper's agent.

    State: what the layer is, where in the network, and the actions of the layer before; where the setting has them, how
    sensitive (log₁₀ of Ω at four points per parameter, each with a flag that says whether there is such a parameter) and how
    slow (log₁₀ of its shares of the latency). Every step of an episode carries the episode's reward, normalised by a moving
    average.
    """

    sees_measurements = True
    default_reward = "absolute"

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        problem = context.problem
        self._steps = _steps(problem.decisions)
        self._actions = any(step.keep >= 0 for step in self._steps) + 2 * any(
            step.bits >= 0 for step in self._steps
        )
        self._static = _static_state(context, self._steps)
        features = self._static.shape[1] + self._actions
        self._networks = ActorCritic(
            features, self._actions, _HIDDEN, context.seed, discount=_DISCOUNT
        )
        self._memory = Replay(_REPLAY, features, self._actions)
        self._rng = np.random.default_rng(context.seed)
        self._moments = _Moments(features)
        self._episodes = 0
        self._reward = _Moments(1)

    def propose(self) -> FloatArray:
        """One pass over the layers."""
        sigma = _SIGMA * _SIGMA_DECAY**self._episodes
        ratios = np.ones(len(self.context.problem))
        previous = np.zeros(self._actions)
        for row, step in enumerate(self._steps):
            if self._episodes < _WARM_UP:
                action = self._rng.uniform(size=self._actions)
            else:
                state = self._moments.standardize(np.append(self._static[row], previous))
                action = disturbed(self._networks.act(state), sigma, self._rng)
            self._apply(step, action, ratios)
            previous = action
        return ratios

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Store the executed policy as the actions that stand for it, then do one update per layer."""
        self._episodes += own
        actions = np.array([self._actions_of(step, trajectory.executed) for step in self._steps])
        before = np.vstack([np.zeros(self._actions), actions])
        states = np.concatenate([self._static, before[:-1]], axis=1)
        self._moments.add(states)
        self._reward.add(np.array([[trajectory.reward]]), rate=_REWARD_RATE)
        reward = float(self._reward.standardize(np.array([trajectory.reward]))[0])
        following = np.vstack([states[1:], np.append(self._static[-1], before[-1])])
        for row in range(len(states)):
            pair = self._moments.standardize(states[row]), self._moments.standardize(following[row])
            action = actions[row].astype(np.float32)
            self._memory.add(*pair, action, reward, terminal=row == len(states) - 1)
        if self._memory.stored >= _BATCH and self._episodes >= _WARM_UP:
            for _ in self._steps:
                self._networks.update(self._memory.sample(_BATCH, self._rng))

    def _apply(self, step: _Step, action: FloatArray, ratios: FloatArray) -> None:
        """Write the ratios of a layer's decisions for its actions."""
        decisions = self.context.problem.decisions
        if step.keep >= 0:
            size = decisions[step.keep].size
            ratios[step.keep] = discrete(float(action[0]), size) / size
        if step.bits >= 0:
            precisions = self._precisions(step)
            ratios[step.bits] = (
                precisions.index(precision(float(action[-2]), float(action[-1]), precisions)) + 1
            ) / len(precisions)

    def _precisions(self, step: _Step) -> tuple[Precision, ...]:
        """What the bits of a layer can be."""
        decision = self.context.problem.decisions[step.bits]
        assert isinstance(decision, BitsDecision)
        return decision.precisions

    def _actions_of(self, step: _Step, executed: FloatArray) -> FloatArray:
        """The middle of the actions that lead to what was executed."""
        decisions = self.context.problem.decisions
        actions = np.zeros(self._actions)
        if step.keep >= 0:
            size = decisions[step.keep].size
            actions[0] = 1 - (float(executed[step.keep]) * size - 0.5) / size
        if step.bits >= 0:
            precisions = self._precisions(step)
            chosen = precisions[round(float(executed[step.bits]) * len(precisions)) - 1]
            actions[-2:] = [_degree(bits) for bits in chosen]
        return actions


def discrete(degree: float, reference: int) -> int:
    """d(r) = clip(⌊(1 − r)·ν⌋ + 1, 1, ν) (Galen, section 3.1)."""
    return int(np.clip(np.floor((1 - degree) * reference) + 1, 1, reference))


def precision(weights: float, activations: float, available: tuple[Precision, ...]) -> Precision:
    """The nearest available precision to what the degrees of compression of weights and activations ask for."""
    if max(weights, activations) > _MIXED:
        wanted = tuple(
            discrete(min(max((a - 0.5) / 0.5, 0.0), 1.0), _WIDEST_MIX)
            for a in (weights, activations)
        )
    elif max(weights, activations) > _INTEGER:
        wanted = (8, 8)
    else:
        wanted = (FULL_WIDTH, FULL_WIDTH)
    return min(
        available,
        key=lambda pair: (
            sum(abs(np.log2(have / want)) for have, want in zip(pair, wanted, strict=True)),
            pair,
        ),
    )


def _degree(bits: int) -> float:
    """The degree of compression that stands for these bits, whatever the other side's are.

    `precision` looks at both sides, as the paper does: it maps no degrees to one side of few bits beside one of many.
    """
    if bits == FULL_WIDTH:
        return _INTEGER / 2
    if bits > _WIDEST_MIX:
        return (_INTEGER + _MIXED) / 2
    return _MIXED + 0.5 * (1 - (bits - 0.5) / _WIDEST_MIX)


def _steps(decisions: list[Decision]) -> list[_Step]:
    """Decisions by layer, in forward order; a layer that reads several groups takes a step for each."""
    steps: list[_Step] = []
    last: dict[str, int] = {}
    for column, decision in enumerate(decisions):
        name = decision.layer.name
        kind = "bits" if decision.quantizes else "keep"
        if name not in last or getattr(steps[last[name]], kind) >= 0:
            last[name] = len(steps)
            steps.append(_Step())
        steps[last[name]] = replace(steps[last[name]], **{kind: column})
    return steps


def _static_state(context: SearchContext, steps: list[_Step]) -> FloatArray:
    """What does not change during a search, one row per layer."""
    decisions = context.problem.decisions
    rows = []
    for index, step in enumerate(steps):
        layer = decisions[max(step.keep, step.bits)].layer
        kinds = [float(layer.kind == "depthwise"), float(layer.kind == "linear")]
        sizes = [np.log(layer.in_channels), np.log(layer.out_channels), np.log(layer.macs)]
        window = [float(side[0]) if side else 1.0 for side in (layer.kernel, layer.stride)]
        has = [float(step.keep >= 0), float(step.bits >= 0)]
        row = [index / max(1, len(steps) - 1), *kinds, *sizes, *window, *has]
        if context.sensitivity is not None:
            for column in (step.keep, step.bits):
                row += (
                    [0.0] * len(_POINTS) if column < 0 else _log_points(context.sensitivity[column])
                )
        if context.latency is not None:
            row += [
                float(np.log10(max(share, 1e-6)))
                for share in context.latency[max(step.keep, step.bits)]
            ]
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def _log_points(curve: FloatArray) -> list[float]:
    return [float(np.log10(max(curve[int(point * (len(curve) - 1))], 1e-12))) for point in _POINTS]


class _Moments:
    """Running mean and variance."""

    def __init__(self, size: int) -> None:
        self._mean, self._square, self._weight = np.zeros(size), np.ones(size), 0.0

    def add(self, rows: FloatArray, rate: float | None = None) -> None:
        """Take rows into account; with ``rate`` old ones fade."""
        for row in rows:
            self._weight += 1
            step = max(1 / self._weight, rate or 0.0)
            self._mean = self._mean + step * (row - self._mean)
            self._square = self._square + step * (np.square(row) - self._square)

    def standardize(self, row: FloatArray) -> Float32Array:
        """Mean 0, deviation 1."""
        variance = np.maximum(self._square - np.square(self._mean), 1e-8)
        return np.asarray((row - self._mean) / np.sqrt(variance)).astype(np.float32)
