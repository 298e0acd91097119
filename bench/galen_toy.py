"""Does Galen's agent learn? Its decisions on ResNet-20 under a reward that is known in closed form.

    python bench/galen_toy.py
    python bench/galen_toy.py --budgets '' 'macs<=50%' --seeds 0 1 2 3 --agent ddpg

The reward is the mean squared distance, negated, between the keep ratios that were carried out and
those of a policy that is drawn once. Printed are the mean rewards of the first ten episodes, which
Galen's agent draws at random, and of the last twenty. No network is run: only its shapes count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import tyro

from sartor import models
from sartor.agents import Agent, SearchContext, Trajectory, as_factory
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.machine import FloatArray, IntArray
from sartor.problem import Problem
from sartor.scoring import Outcome
from sartor.search import FEATURES, CompressionEnv

#: The wanted policy is the same for all seeds.
_WANTED_SEED = 99


@dataclass(frozen=True)
class Toy:
    """How to run it."""

    budgets: tuple[str, ...] = ("", "macs<=50%")
    """Budgets that proposals are projected onto; an empty one enforces nothing."""
    seeds: tuple[int, ...] = (0, 1, 2)
    agent: str = "galen"
    episodes: int = 110

    def main(self) -> None:
        images = torch.zeros(1, 3, 32, 32)
        cost_model = CostModel(trace(models.build("resnet20"), images))
        print("budget      seed   first 10   last 20")
        for budget in self.budgets:
            problem = Problem.of(cost_model, Budget.parse(budget))
            for seed in self.seeds:
                rewards = self._rewards(problem, seed)
                early = np.mean(rewards[:10])
                late = np.mean(rewards[-20:])
                verdict = "better" if late > early else "NOT BETTER"
                name = budget or "none"
                print(f"{name:<10} {seed:>5}   {early:8.4f}  {late:8.4f}   {verdict}", flush=True)

    def _rewards(self, problem: Problem, seed: int) -> list[float]:
        wanted = np.random.default_rng(_WANTED_SEED).uniform(0.3, 1.0, len(problem))
        wanted = problem.execute(wanted) / problem.sizes

        def distance(counts: IntArray) -> Outcome:
            error = float(np.square(counts / problem.sizes - wanted).mean())
            return Outcome(-error, 0, False, problem.original)

        env = CompressionEnv(problem, distance, lambda outcome: outcome.accuracy)
        agent = as_factory(self.agent)(self._context(problem, seed))
        return [_episode(env, agent) for _ in range(self.episodes)]

    def _context(self, problem: Problem, seed: int) -> SearchContext:
        errors = [np.linspace(1, 0, len(decision.choices)) for decision in problem.decisions]
        return SearchContext(problem, len(FEATURES), self.episodes, errors, seed)


def _episode(env: CompressionEnv, agent: Agent) -> float:
    observation, _ = env.reset()
    observations = [observation]
    executed: list[float] = []
    done = False
    agent.begin()
    while not done:
        ratio = agent.act(observation, len(executed))
        observation, reward, done, _, info = env.step(ratio)
        observations.append(observation)
        executed.append(info["executed"])
    ratios: FloatArray = np.array(executed)
    agent.learn(Trajectory(np.array(observations), ratios, reward), own=True)
    return reward


if __name__ == "__main__":
    tyro.cli(Toy).main()
