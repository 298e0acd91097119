"""What a search works with, checked before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from torch import nn

from sartor.agents import AgentFactory, Experience
from sartor.budget import Budget
from sartor.compression import Compressor
from sartor.data import Data
from sartor.errors import UsageError
from sartor.graph import Given
from sartor.machine import choose_device
from sartor.pipeline._choices import (
    choose_agent,
    choose_budget,
    choose_reward,
    choose_target,
    require_timed,
    with_names,
)
from sartor.pipeline._goal import require_metric
from sartor.pipeline._options import SearchOptions
from sartor.pipeline._settings import settings_of
from sartor.pipeline._setup import (
    calibration_images,
    make_compressor,
    read_base,
    read_experience,
)
from sartor.policy import Policy
from sartor.repair import RepairOptions, require_repairable
from sartor.scoring import with_own_labels
from sartor.scoring.rewards import Reward
from sartor.targets import Target
from sartor.tasks import CLASSIFICATION, Task, as_task


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a search works with.

    Attributes:
        compressor: Builds the candidates of the traced network.
        budget: What a candidate may cost.
        data: Images; None where only ``evaluate`` scores.
        evaluate: A measure of the user's own, from 0 to 1.
        options: How to search.
        agent: Who decides.
        reward: What is maximised.
        target: Where candidates are measured.
        base: What an earlier run has decided.
        task: What the network is for.
        experience: Episodes of earlier searches.
        started: When it began, by `time.perf_counter`.
    """

    compressor: Compressor
    budget: Budget
    data: Data | None
    evaluate: Callable[[nn.Module], float] | None
    options: SearchOptions
    agent: str | AgentFactory
    reward: Reward
    target: Target | None
    base: Policy | None
    task: Task
    experience: tuple[Experience, ...] = ()
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def prepare(
        cls,
        model: nn.Module,
        data: Data | None = None,
        *,
        budget: str | Budget = "macs<=50%",
        evaluate: Callable[[nn.Module], float] | None = None,
        example_inputs: Given | None = None,
        options: SearchOptions | None = None,
        agent: str | AgentFactory | None = None,
        reward: str | Reward | None = None,
        target: str | Target | None = None,
        task: str | Task = CLASSIFICATION,
    ) -> Self:
        """Check what is asked for, trace the network, prove that slicing is right there.

        Raises what `sartor.compress` raises.
        """
        started = time.perf_counter()
        names = {"agent": agent, "reward": reward, "target": target}
        options = with_names(options or SearchOptions(), **names)

        bounds = choose_budget(budget)
        who = choose_agent(agent, options)
        rewarded = choose_reward(reward, options, who, bounds, has_images=evaluate is None)

        purpose = as_task(task)
        if bounds.goal is not None:
            require_metric(bounds.goal, purpose.metric if evaluate is None else "score")
        if data is not None:
            data = with_own_labels(data, model, purpose)
            if options.repair == "distill":
                # After the search, hours later, it would be refused as well.
                wanted = RepairOptions(shown=options.repair_images or RepairOptions.shown)
                require_repairable(data.calibration, wanted)
        calibration = calibration_images(data.calibration, options) if data else None
        examples = example_inputs if example_inputs is not None else calibration
        has_score = data is not None or evaluate is not None
        if examples is None or not has_score:
            raise UsageError("compress needs data, or both evaluate and example_inputs")

        # Tracing is the slow part: what can be refused without it is refused before.
        choose_device(options.device)
        where = choose_target(target, options)
        if where is not None:
            where = where.within(bounds)
        require_timed(where, bounds)
        base = read_base(options)
        experience = read_experience(options)
        compressor = make_compressor(model, examples, calibration, options, where)
        return cls(
            compressor=compressor,
            budget=bounds,
            data=data,
            evaluate=evaluate,
            options=options,
            agent=who,
            reward=rewarded,
            target=where,
            base=base,
            task=purpose,
            experience=experience,
            started=started,
        )

    @property
    def metric(self) -> str:
        """What the measure of quality is called."""
        return "score" if self.evaluate is not None else self.task.metric

    def settings(self) -> dict[str, Any]:
        """What the episodes depend on, by name."""
        return settings_of(
            self.options,
            agent=self.agent,
            reward=self.reward,
            budget=self.budget,
            target=self.target,
            base=self.base,
            task=self.task,
            experience=self.experience,
        )
