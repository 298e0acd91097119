"""A run: its folder, and everything that can be done with it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sartor.compression import Origin, holds_network, save_network
from sartor.errors import RunError
from sartor.machine import (
    Event,
    Note,
    Progress,
    Step,
    alone_in,
    crowding_now,
    silent,
    torch_threads,
    write_text,
)
from sartor.pipeline import Found, Pipeline, SearchFiles
from sartor.registry import import_object
from sartor.runs._config import RunConfig, command_line
from sartor.runs._subject import Subject
from sartor.runs._trained import RunTraining
from sartor.runs.progress import as_progress
from sartor.search import Study
from sartor.targets import Target
from sartor.tasks import Task
from sartor.track import trackers

#: Writes the report of a run into a folder and returns the page.
ReportWriter = Callable[["Run", Path], Path]
# The room of reports draws runs, so it lies above this one and cannot be imported here.
_REPORT = "sartor.report:write"


@dataclass(frozen=True, eq=False)
class Result(Found):
    """What a search found.

    Attributes:
        policy: What was decided.
        model: The compressed network, in evaluation mode: a plain `torch.nn.Module`.
        report: How accurate it is and what it costs, beside the original and the rules.
        stopped: Whether Ctrl-C was pressed, if only in the last episode: callers that have more
            to do should not.
        compressor: What built it.
        episodes: Every policy scored, in order.
        settings: What those depend on, by name.
        config: What was asked for.
        subject: The original network and its data.
        target: Where candidates were measured, if that was given as an object.
        task: What the network is for.
    """

    config: RunConfig
    subject: Subject
    target: Target | None
    task: Task

    def save(
        self,
        folder: str | Path,
        *,
        model: str = "",
        weights: str | Path | None = None,
        data: str | Path = "",
    ) -> Run:
        """Write everything to a folder; returns the run, with the network and the data at hand.

        The command line works on that folder too. It needs the names of a network and data that
        were given as objects: give them here, or there with ``--model``, ``--weights`` and
        ``--data``.

        Args:
            folder: Where to write.
            model: What builds the original: a name of the zoo, timm:NAME, or
                package.module:callable.
            weights: A .safetensors file with its trained weights.
            data: digits, or the folder of the data set.
        """
        config = dataclasses.replace(
            self.config,
            model=model or self.config.model,
            weights=Path(weights) if weights else self.config.weights,
            data=str(data) or self.config.data,
        )
        origin = self.subject.named(model) if model else self.subject.origin

        run = Run(
            folder,
            model=self.subject.model,
            data=self.subject.data,
            target=self.target,
            task=self.task,
            config=config,
        )
        config.save(run.folder)
        run.keep_episodes(self)
        run.keep(self, origin)
        return run


class Run(RunTraining):
    """The folder of a run, and everything that can be done with it.

    A run is the same from Python and from the command line. Its network and data are found by the
    names in ``run.json``; where they were given as objects, give them again.

    Args:
        folder: Where it is, or will be.
        model: The original network or its name, if it is not the one that ``run.json`` names.
        weights: Its trained weights, if it has another name.
        data: Images or their name, if they are not those that ``run.json`` names.
        target: What to build candidates for, if that was given to the search as an object.
        task: What the network is for, if that was given to the search as an object.
        config: What the run is asked to do; if not given, what ``run.json`` holds.

    >>> Run("runs/none").state
    'unfinished'
    """

    @classmethod
    def of(cls, config: RunConfig) -> Run:
        """The run that is asked for, in ``config.out``; nothing is written yet.

        Raises `UsageError` naming the first option that is missing.
        """
        config.require_complete()
        assert config.out is not None
        return cls(config.out, config=config)

    def search(self, progress: Progress | bool | None = None, *, resume: bool = False) -> Result:
        """Search and save; everything is in the folder when this returns.

        Args:
            progress: Whether to show on standard error what goes on, or what is told, as for
                `sartor.compress`.
            resume: Go on with the episodes that the folder holds.

        Raises `RunError` if the folder already holds episodes and ``resume`` is not set, or while
        another process searches in it; then nothing in it is touched.
        """
        self._require_free(resume=resume)
        config = self.config
        with (
            torch_threads(config.threads),
            trackers(config.track, self.folder) as listening,
            as_progress(progress) as told,
        ):

            def tell(event: Event, /) -> None:
                for tracker in listening:
                    tracker(event)
                told(event)

            tell(Step("preparing"))
            crowded = crowding_now()
            if crowded:
                tell(Note(crowded))
            count = config.options.calibration_images
            subject = self._source().load(calibration=count)
            pipeline = Pipeline.prepare(
                subject.model,
                subject.data,
                budget=config.budget,
                options=config.options,
                target=self._target,
                task=self.task,
            )
            return self.carry_out(pipeline, subject, tell)

    def _require_free(self, *, resume: bool) -> None:
        """Raise `RunError` where a search would write over what is in the folder."""
        if self.episodes and not resume:
            again = command_line("search", "--resume", self.folder)
            raise RunError(
                f"--out {self.folder} already holds a run; resume it with: {again}, or choose "
                "another folder"
            )
        # For instance an episode that was picked from another run.
        if not self.episodes and holds_network(self.folder):
            raise RunError(
                f"--out {self.folder} holds a network that was not searched there; choose another "
                "folder"
            )

    def carry_out(
        self, pipeline: Pipeline, subject: Subject, progress: Progress = silent
    ) -> Result:
        """Run a search that is prepared, in this folder; everything is there when this returns."""
        with alone_in(self.folder):
            self.config.save(self.folder)
            files = SearchFiles(
                episodes=self.layout.episodes,
                latencies=self.layout.latencies,
                profile=self.layout.profile,
                sensitivity=self.layout.sensitivity,
                probes=self.layout.probes,
                experience=self.layout.experience,
                goal=self.layout.goal,
                repairs=self.layout.repairs,
            )
            found = pipeline.run(files, progress)
        result = Result(
            **vars(found),
            config=self.config,
            subject=subject,
            target=self._target,
            task=pipeline.task,
        )
        self.keep(result, subject.origin)
        return result

    def keep(self, result: Result, origin: Origin) -> None:
        """Write the network and the report of a search."""
        kept = result.compressor.kept(result.policy)
        save_network(
            self.folder,
            result.network,
            result.model,
            result.policy,
            kept=kept,
            origin=origin,
            scheme=result.compressor.scheme,
        )
        # Last: a run counts as finished once this file is there.
        write_text(self.layout.result, result.report.to_json())
        # What is delivered is repaired: its checkpoints are five times as large, and done with.
        shutil.rmtree(self.layout.repairs, ignore_errors=True)
        self.refresh()

    def keep_episodes(self, result: Result) -> None:
        """Write the episodes of a search, unless they were written while it ran."""
        written = self.episodes[: len(result.episodes)]
        if written == result.episodes:
            return
        # What is there is of another search: this one may not be resumed from it.
        self.layout.episodes.unlink(missing_ok=True)
        study = Study(self.layout.episodes, result.settings)
        for episode in result.episodes:
            study.append(episode)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the report: a page that works offline, figures, episodes as CSV, a model card.

        Returns the page, in the folder ``report`` of the run if no other is given. Raises
        `RunError` if the run has no episodes, `MissingPackageError` without the extra ``report``.
        """
        write = cast("ReportWriter", import_object(_REPORT, "report"))
        folder = self.layout.report if out is None else Path(out)
        return write(self, folder)
