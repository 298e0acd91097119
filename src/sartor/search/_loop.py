"""The search itself: episodes, one after the other, until there are enough or the time is up."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sartor.agents import (
    AGENTS,
    Agent,
    Decisions,
    Experience,
    SearchContext,
    Trajectory,
    as_factory,
    name_of,
)
from sartor.errors import RunError
from sartor.machine import IntArray, Progress, silent
from sartor.problem import Problem
from sartor.scoring import Evaluator, Outcome
from sartor.scoring.rewards import as_reward
from sartor.search._best import EpisodeScored, better
from sartor.search._env import FEATURES, CompressionEnv
from sartor.search._episode import Episode
from sartor.search._errors import ErrorsOnDemand
from sartor.search._interruption import Interruption
from sartor.search._late_agent import LateAgent
from sartor.search._measured import Measured
from sartor.search._outlook import Outlook
from sartor.search._plan import SearchPlan
from sartor.search._record import Record

#: Recorded ratios are compared to this many digits.
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class _Walk:
    """One pass over all decisions: what an agent learns from, what was carried out and measured."""

    trajectory: Trajectory
    counts: IntArray
    outcome: Outcome


class Search:
    """Runs a plan on a problem; `run` does the work.

    Resuming is replaying: agents are deterministic, so a new agent that is shown the recorded
    episodes is in the state the killed one was in, and the next episode is the one that would have
    come.

    Attributes:
        stopped: Whether Ctrl-C was pressed during `run`, if only in the last episode.
        seconds_before: What the episodes took that were recorded before `run`.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        plan: SearchPlan,
        record: Record,
        *,
        progress: Progress = silent,
        measured: Measured | None = None,
    ) -> None:
        self.problem = problem
        self.evaluator = evaluator
        self.plan = plan
        self.record = record
        self.progress = progress
        self.measured = measured or Measured()
        self.stopped = False
        self.seconds_before = 0.0
        self._context: SearchContext | None = None

    def prepare(self) -> SearchContext:
        """What agents and rules are given; errors of choices are found once one asks for them."""
        if self._context is None:
            problem = self.problem
            find_errors = functools.partial(
                self.measured.errors, problem, self.evaluator.compressor, self.progress
            )
            self._context = SearchContext(
                problem,
                features=len(FEATURES),
                episodes=self.plan.episodes,
                errors=ErrorsOnDemand(find_errors),
                seed=self.plan.seed,
                sensitivity=self.measured.omega(problem),
                latency=self.measured.shares(problem),
                experience=self.plan.experience,
            )
        return self._context

    def run(self) -> list[Episode]:
        """All episodes, recorded ones included.

        Ctrl-C and the time limit end it cleanly, with what there is. Raises `RunError` if the
        record is of another search, `KeyboardInterrupt` if Ctrl-C is pressed while it is replayed.
        """
        done: list[Episode] = []
        recorded = self.record.episodes()
        self.seconds_before = sum(episode.seconds for episode in recorded)

        with Interruption() as interruption:
            try:
                for episode in self._episodes(recorded):
                    done.append(episode)
                    if interruption.asked and len(done) >= len(recorded):
                        break
            except KeyboardInterrupt:
                if len(done) < len(recorded):
                    raise  # what was delivered may be of later episodes
                interruption.asked = True

        self.stopped = interruption.asked
        return done

    def experience(self, episodes: Sequence[Episode]) -> Experience | None:
        """What agents of other searches can learn from episodes of this one.

        None where nobody asked for errors: they are not found for that alone.
        """
        context = self.prepare()
        errors = context.errors
        if isinstance(errors, ErrorsOnDemand) and not errors.are_known:
            return None
        counts = [self.problem.counts(episode.executed) for episode in episodes]
        rewards = [episode.reward for episode in episodes]
        return Experience(Decisions.of(self.problem, errors), np.array(counts), np.array(rewards))

    def _episodes(self, recorded: list[Episode]) -> Iterator[Episode]:
        """The recorded episodes, replayed, then new ones."""
        context = self.prepare()
        agent = LateAgent(as_factory(self.plan.agent), context)
        started = time.perf_counter()
        best: Episode | None = None
        rewards: list[float] = []

        for number in range(self.plan.episodes):
            if number < len(recorded):
                episode = self._replay(recorded[number], agent)
            elif self._late(time.perf_counter() - started):
                return
            else:
                episode = self._new(number, agent)
                # Before anyone sees it: what was reported is never lost.
                self.record.append(episode)

            best = better(episode, best, self._bound)
            if best is not None:
                rewards.append(best.reward)
            outlook = Outlook.after(rewards, min(self._own(number), len(rewards)))
            self.progress(
                EpisodeScored(
                    episode,
                    best,
                    total=self.plan.episodes,
                    is_recorded=number < len(recorded),
                    outlook=outlook,
                )
            )
            yield episode
            if self._pays_no_more(outlook) and number + 1 >= len(recorded):
                return

    def _own(self, number: int) -> int:
        """How many episodes up to a number are the agent's own."""
        return max(0, number + 1 - len(self.plan.seed_with))

    def _pays_no_more(self, outlook: Outlook | None) -> bool:
        if self.plan.worth is None or outlook is None:
            return False
        return outlook.gain < self.plan.worth

    @property
    def _bound(self) -> float | None:
        """The bound on latency that what is delivered must keep; None if it is a mere wish."""
        return self.plan.ceiling if self.problem.budget.bounds_latency else None

    def _late(self, seconds: float) -> bool:
        return self.plan.max_time is not None and seconds > self.plan.max_time

    def _new(self, number: int, agent: LateAgent) -> Episode:
        # Before the clock starts: whoever is first to look at errors has them found.
        player = self._player(number, agent)
        started = time.perf_counter()
        walk = self._walk(player)
        outcome = walk.outcome
        self._correct(walk.counts, outcome)

        learning = time.perf_counter()
        agent.learn(walk.trajectory, own=self._is_own(number))
        finished = time.perf_counter()

        # Measuring happens within the walk, but is no part of deciding.
        measuring = outcome.seconds_build + outcome.seconds_score + outcome.seconds_latency
        deciding = max(0.0, learning - started - measuring)
        return Episode(
            number,
            source=self._source(number),
            executed=self._by_name(walk.trajectory),
            reward=walk.trajectory.reward,
            outcome=outcome,
            seconds=finished - started,
            seconds_agent=deciding + finished - learning,
        )

    def _replay(self, recorded: Episode, agent: LateAgent) -> Episode:
        """Show an agent a recorded episode as if it were new."""
        self._remember(recorded)
        player = self._player(recorded.number, agent)
        walk = self._walk(player)
        executed = self._by_name(walk.trajectory)
        if not _agree(executed, recorded.executed):
            raise _not_replayable(recorded)

        self._correct(walk.counts, recorded.outcome)
        agent.learn(walk.trajectory, own=self._is_own(recorded.number))
        return recorded

    def _walk(self, agent: Agent) -> _Walk:
        """One pass over all decisions."""
        env = self._environment()
        observation, info = env.reset()
        observations = [observation]
        executed = []

        agent.begin()
        for step in range(len(self.problem)):
            proposed = agent.act(observation, step)
            observation, reward, _, _, info = env.step(proposed)
            observations.append(observation)
            executed.append(info["executed"])

        # Of all steps, the last one alone has a reward and an outcome.
        trajectory = Trajectory(
            np.array(observations),
            np.array(executed),
            reward,
        )
        return _Walk(trajectory, env.counts, info["outcome"])

    def _environment(self) -> CompressionEnv:
        reward = as_reward(self.plan.reward)
        return CompressionEnv(
            self.problem,
            evaluate=lambda counts: self.evaluator.evaluate(self.problem.policy(counts)),
            reward=lambda outcome: reward(outcome, self.plan.ceiling),
        )

    def _remember(self, recorded: Episode) -> None:
        """Make the evaluator answer with what was recorded of a policy."""
        decisions = self.problem.decisions
        names = {decision.name for decision in decisions}
        if recorded.executed.keys() != names:
            raise _not_replayable(recorded)

        # Ratios of another network may stand for counts that are no choices of this one.
        counts = self.problem.counts(recorded.executed)
        for decision, count in zip(decisions, counts, strict=True):
            if count not in decision.choices:
                raise _not_replayable(recorded)

        policy = self.problem.policy(counts)
        self.evaluator.remember(policy, recorded.outcome)

    def _correct(self, counts: IntArray, outcome: Outcome) -> None:
        """Let the latency predictor learn from what was measured now, not from what came again."""
        measured = outcome.seconds_latency > 0 and outcome.latency_settled
        if measured and outcome.relative_latency is not None:
            self.problem.correct(counts, outcome.relative_latency)

    def _is_own(self, number: int) -> bool:
        """Whether an episode is the agent's own, not that of a rule."""
        return number >= len(self.plan.seed_with)

    def _source(self, number: int) -> str:
        if self._is_own(number):
            return name_of(self.plan.agent)
        return self.plan.seed_with[number]

    def _player(self, number: int, agent: LateAgent) -> Agent:
        """Who proposes: the agent, or the rule whose turn it is."""
        if self._is_own(number):
            return agent.agent
        rule = AGENTS.get(self.plan.seed_with[number])
        return rule(self.prepare())

    def _by_name(self, trajectory: Trajectory) -> dict[str, float]:
        names = [decision.name for decision in self.problem.decisions]
        return dict(zip(names, trajectory.executed.tolist(), strict=True))


def _agree(executed: Mapping[str, float], recorded: Mapping[str, float]) -> bool:
    for name, ratio in executed.items():
        if round(ratio, _DIGITS) != round(recorded[name], _DIGITS):
            return False
    return True


def _not_replayable(recorded: Episode) -> RunError:
    return RunError(
        f"episode {recorded.number} of the record cannot be replayed: it was made by another "
        "version, seed or network, or with other latencies of layers; start a new run"
    )
