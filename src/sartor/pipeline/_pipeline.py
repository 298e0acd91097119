"""A search as a sequence of steps, from what is prepared to what is found."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from sartor.agents import SearchContext
from sartor.budget import Budget
from sartor.compression.modules import on_device, trainable_copy
from sartor.errors import UsageError
from sartor.machine import (
    CPU,
    Progress,
    Step,
    enough_memory,
    give_freed_memory_back,
    reproducible,
    silent,
)
from sartor.pipeline._aim import Aim
from sartor.pipeline._delivery import Delivery
from sartor.pipeline._found import Found, SearchFiles
from sartor.pipeline._goal import quantity_of
from sartor.pipeline._judge import Judge
from sartor.pipeline._make_report import make_report
from sartor.pipeline._measurements import make_probes, measure_layers
from sartor.pipeline._original import OriginalScore, score_original
from sartor.pipeline._prepared import Prepared
from sartor.pipeline._setup import make_problem, make_scorer
from sartor.problem import Problem
from sartor.scoring import Evaluator, Scorer
from sartor.search import (
    Measured,
    MemoryRecord,
    Search,
    SearchPlan,
    Study,
    finalists,
)
from sartor.sensitivity import Probes
from sartor.targets import Deployment


@dataclass(frozen=True, eq=False)
class Pipeline(Prepared):
    """A search that is ready to run: `prepare` makes one."""

    def run(self, files: SearchFiles | None = None, progress: Progress = silent) -> Found:
        """Score the original, search, judge the best, report; ``progress`` is told of all of it.

        Raises `BudgetError` for a budget that cannot be met, `RunError` if the episodes on disk
        are of another search, `UsageError` for an original that is not what its user thinks.
        """
        files = files or SearchFiles()
        device = self.compressor.device
        with (
            tempfile.TemporaryDirectory() as scratch,
            reproducible(device),
            enough_memory(device),
        ):
            deployment = self._deploy(Path(scratch), progress)
            scorer = self._scorer(deployment)
            judge = self._judge_of(scorer, deployment, progress)
            # Tracing is over, which held the values of all layers.
            give_freed_memory_back()
            original = self._score_original(judge, scorer, progress)
            aim, bounds = self._aim(
                judge,
                scorer,
                deployment=deployment,
                files=files,
                scratch=Path(scratch),
                progress=progress,
            )
            problem = self._problem(bounds, deployment, files)
            search = self._search(
                problem,
                bounds,
                scorer,
                deployment=deployment,
                files=files,
                progress=progress,
            )

            episodes = search.run()
            # What is delivered is refitted from more images, and needs the memory.
            scorer.release()
            if not finalists(episodes, 1):
                raise UsageError("the search ended before its first episode; nothing to deliver")
            experience = search.experience(episodes)
            if files.experience is not None and experience is not None:
                experience.save(files.experience)
            delivery = Delivery(self, judge, aim=aim, progress=progress, repairs=files.repairs)
            judged = delivery.decide(problem, bounds, search=search, episodes=episodes)

        report = make_report(
            self,
            problem,
            bounds,
            search=search,
            episodes=episodes,
            judged=judged,
            original=original,
        )
        model = trainable_copy(on_device(judged.verdict.network, CPU))
        return Found(
            policy=judged.verdict.policy,
            model=model,
            report=report,
            stopped=search.stopped,
            compressor=self.compressor,
            episodes=tuple(episodes),
            settings=self.settings(),
        )

    def _deploy(self, scratch: Path, progress: Progress) -> Deployment | None:
        if self.target is None:
            return None
        return Deployment.build(
            self.target,
            self.compressor.network,
            scratch,
            progress=progress,
            rough=self.options.rough,
        )

    def _scorer(self, deployment: Deployment | None) -> Scorer:
        return make_scorer(
            self.data,
            self.evaluate,
            self.options,
            self.compressor.network,
            deployment,
            compare=self.reward.needs_images,
            task=self.task,
        )

    def _aim(
        self,
        judge: Judge,
        scorer: Scorer,
        *,
        deployment: Deployment | None,
        files: SearchFiles,
        scratch: Path,
        progress: Progress,
    ) -> tuple[Aim | None, Budget]:
        """What leads to a goal of the budget, if it has one, and the bounds of the search."""
        if self.budget.goal is None:
            return None, self.budget

        # Latencies of layers are measured once, for all problems that are tried.
        latencies = files.latencies or scratch / "latency.json"
        kept = replace(files, latencies=latencies)
        evaluator = Evaluator(self.compressor, scorer)
        measured = Measured(probes=self._probes(files))

        def context_of(problem: Problem) -> SearchContext:
            plan = SearchPlan(self.agent, self.options.most_episodes, self.options.seed)
            search = Search(
                problem, evaluator, plan, MemoryRecord(), progress=progress, measured=measured
            )
            return search.prepare()

        aim = Aim(
            self.budget,
            quantity_of(self.budget, has_target=self.target is not None),
            self.metric,
            judge,
            problem_of=lambda budget: self._problem(budget, deployment, kept),
            context_of=context_of,
            progress=progress,
            file=files.goal,
        )
        return aim, aim.to_search()

    def _problem(
        self, budget: Budget, deployment: Deployment | None, files: SearchFiles
    ) -> Problem:
        return make_problem(
            self.compressor,
            budget,
            self.options,
            self.target,
            base=self.base,
            deployment=deployment,
            latencies=files.latencies,
            enforced=self.reward.enforces_budget,
        )

    def _search(
        self,
        problem: Problem,
        budget: Budget,
        scorer: Scorer,
        *,
        deployment: Deployment | None,
        files: SearchFiles,
        progress: Progress,
    ) -> Search:
        ceiling = problem.latency_ceiling(budget)
        evaluator = Evaluator(
            self.compressor,
            scorer,
            race=self.reward.can_race,
            deployment=deployment,
            ceiling=ceiling,
        )
        plan = SearchPlan(
            self.agent,
            self.options.most_episodes,
            self.options.seed,
            self.options.seed_with,
            self.reward,
            self.options.max_time,
            self.options.worth if self.options.episodes == "auto" else None,
            ceiling,
            self.experience,
        )
        # A record of other settings is refused here, before layers are measured.
        record = self._record(files.episodes)
        omega, latency = measure_layers(
            self.compressor,
            problem,
            deployment,
            self.options,
            self.agent,
            task=self.task,
            sensitivity_file=files.sensitivity,
            profile_file=files.profile,
        )
        return Search(
            problem,
            evaluator,
            plan,
            record,
            progress=progress,
            measured=Measured(omega, latency, self._probes(files)),
        )

    def _probes(self, files: SearchFiles) -> Probes | None:
        return make_probes(self.compressor, self.options, task=self.task, path=files.probes)

    def _record(self, path: Path | None) -> MemoryRecord | Study:
        """Where episodes are kept: on disk if there is a file for them."""
        if path is None:
            return MemoryRecord()
        return Study(path, self.settings())

    def _judge_of(self, scorer: Scorer, deployment: Deployment | None, progress: Progress) -> Judge:
        return Judge(
            self.compressor,
            scorer,
            self.data,
            reward=self.reward,
            custom=self.evaluate,
            task=self.task,
            deployment=deployment,
            progress=progress,
        )

    def _score_original(self, judge: Judge, scorer: Scorer, progress: Progress) -> OriginalScore:
        """First of all: what is compressed for hours should be what its user thinks it is."""
        progress(Step("scoring the original"))
        # What looks wrong is looked at on the CPU, where its images are.
        found = score_original(
            on_device(self.compressor.network.module, CPU),
            self.data if self.evaluate is None else None,
            # On the test images once there is something to compare it with.
            judge.validate(self.compressor.network.module),
            scorer,
            self.options,
            task=self.task,
        )
        progress(found)
        return found
