"""The search itself: episodes, one after the other, until there are enough or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sartor.agents import (
    AGENTS,
    Agent,
    AgentFactory,
    SearchContext,
    Trajectory,
    as_factory,
    name_of,
)
from sartor.errors import RunError
from sartor.machine import IntArray
from sartor.problem import Problem
from sartor.rewards import Reward, as_reward
from sartor.scoring import Evaluator, Outcome
from sartor.search._env import FEATURES, CompressionEnv
from sartor.search._interruption import Interruption
from sartor.search._study import Episode
from sartor.sensitivity import Sensitivity

#: By layer, its shares of the original's latency: in the original, and with all layers at their coarsest precision.
LayerLatency = Mapping[str, tuple[float, float]]


class Record(Protocol):
    """Where episodes are kept."""

    def episodes(self) -> list[Episode]:
        """All episodes so far."""
        ...

    def append(self, episode: Episode) -> None:
        """Add one."""
        ...


class MemoryRecord:
    """Episodes of a search that has no folder."""

    def __init__(self) -> None:
        self._episodes: list[Episode] = []

    def episodes(self) -> list[Episode]:
        """All episodes so far."""
        return list(self._episodes)

    def append(self, episode: Episode) -> None:
        """Add one."""
        self._episodes.append(episode)


@dataclass(frozen=True)
class SearchPlan:
    """What to search, how long: ``episodes`` in all, those of ``seed_with`` among them; ``max_time`` seconds of wall time.

    ``ceiling`` is the bound on latency relative to the original's that the reward knows of.
    """

    agent: str | AgentFactory
    episodes: int
    seed: int = 0
    seed_with: tuple[str, ...] = ()
    reward: str | Reward = "accuracy"
    max_time: float | None = None
    ceiling: float | None = None


@dataclass
class Search:
    """Runs a plan on a problem.

    Resuming is replaying: agents are deterministic, so a new agent that is shown the recorded episodes is in the state the
    killed one was in, and the next episode is the one that would have come.
    """

    problem: Problem
    evaluator: Evaluator
    plan: SearchPlan
    record: Record
    on_episode: Callable[[Episode, Episode], None] = lambda episode, best: None
    sensitivity: Sensitivity | None = None
    latency: LayerLatency | None = None
    stopped: bool = field(default=False, init=False)
    """Whether Ctrl-C was heard, if only in the last episode."""
    _number: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        compressor, decisions = self.evaluator.compressor, self.problem.decisions
        errors = [decision.errors(compressor) for decision in decisions]
        omega = (
            None
            if self.sensitivity is None
            else [decision.omega(self.sensitivity) for decision in decisions]
        )
        latency = (
            None
            if self.latency is None
            else [self.latency.get(d.layer.name, (0.0, 0.0)) for d in decisions]
        )
        self.context = SearchContext(
            self.problem, len(FEATURES), self.plan.episodes, errors, self.plan.seed, omega, latency
        )
        self._recorded = self.record.episodes()
        self._outcome: Outcome | None = None
        self._env = CompressionEnv(self.problem, self._reward_of)
        self._best: Episode | None = None

    @property
    def seconds_before(self) -> float:
        """What the episodes took that were recorded before this process began."""
        return sum(episode.seconds for episode in self._recorded)

    def run(self) -> list[Episode]:
        """All episodes, recorded ones included. Ctrl-C and the time limit end it cleanly, with what there is."""
        agent = as_factory(self.plan.agent)(self.context)
        started = time.perf_counter()
        done: list[Episode] = []
        with Interruption() as interruption:
            for number in range(self.plan.episodes):
                late = (
                    self.plan.max_time is not None
                    and time.perf_counter() - started > self.plan.max_time
                )
                if late and number >= len(self._recorded):
                    break
                try:
                    done.append(self._episode(number, agent))
                except KeyboardInterrupt:
                    if number < len(self._recorded):
                        raise  # what was delivered may be of later episodes
                    interruption.asked = True
                if interruption.asked and number + 1 >= len(self._recorded):
                    break
        self.stopped = interruption.asked
        return done

    def _episode(self, number: int, agent: Agent) -> Episode:
        own = number >= len(self.plan.seed_with)
        source = name_of(self.plan.agent) if own else self.plan.seed_with[number]
        started = time.perf_counter()
        trajectory = self._walk(agent if own else AGENTS.get(source)(self.context))
        assert self._outcome is not None
        outcome = self._outcome
        learning = time.perf_counter()
        agent.learn(trajectory, own=own)
        finished = time.perf_counter()
        executed = {
            d.name: float(a)
            for d, a in zip(self.problem.decisions, trajectory.executed, strict=True)
        }
        deciding = (
            learning
            - started
            - outcome.seconds_build
            - outcome.seconds_score
            - outcome.seconds_latency
        )
        episode = Episode(
            number,
            source,
            executed,
            trajectory.reward,
            outcome,
            finished - started,
            max(0.0, deciding) + finished - learning,
        )
        if number < len(self._recorded):
            episode = self._recorded[number]
        else:
            self.record.append(episode)
        if self._best is None or episode.reward > self._best.reward:
            self._best = episode
        self.on_episode(episode, self._best)
        return episode

    def _walk(self, agent: Agent) -> Trajectory:
        """One pass over all decisions."""
        observation, _ = self._env.reset()
        observations, executed, reward = [observation], [], 0.0
        agent.begin()
        for step in range(len(self.problem)):
            observation, reward, _, _, info = self._env.step(agent.act(observation, step))
            observations.append(observation)
            executed.append(info["executed"])
        return Trajectory(np.array(observations), np.array(executed), reward)

    def _reward_of(self, counts: IntArray) -> float:
        policy = self.problem.policy(counts)
        executed = dict(
            zip(
                [d.name for d in self.problem.decisions],
                (counts / self.problem.sizes).tolist(),
                strict=True,
            )
        )
        number = self._number
        self._number += 1
        repeated = self.evaluator.knows(policy)
        if number < len(self._recorded):
            recorded = self._recorded[number]
            if {name: round(value, 9) for name, value in executed.items()} != {
                n: round(v, 9) for n, v in recorded.executed.items()
            }:
                raise RunError(
                    f"episode {number} of the record cannot be replayed: it was made by another version, seed or network, "
                    "or with other latencies of layers; start a new run"
                )
            self._outcome = recorded.outcome
            self.evaluator.remember(policy, recorded.outcome)
        else:
            self._outcome = self.evaluator.evaluate(policy)
        if (
            self._outcome.relative_latency is not None
            and self._outcome.latency_settled
            and not repeated
        ):
            self.problem.correct(counts, self._outcome.relative_latency)
        return as_reward(self.plan.reward)(self._outcome, self.plan.ceiling)


def finalists(episodes: Sequence[Episode], count: int) -> list[Episode]:
    """The best different policies that were scored in full, best first."""
    chosen: list[Episode] = []
    for episode in sorted(episodes, key=lambda e: (-e.reward, e.number)):
        if not episode.outcome.stopped and all(
            episode.executed != other.executed for other in chosen
        ):
            chosen.append(episode)
    return chosen[:count]
