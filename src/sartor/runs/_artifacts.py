"""The network of a run, with what it was made from at hand: loaded, exported, verified."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

import torch
from torch import fx, nn

from sartor.compression import StoredNetwork, holds_network
from sartor.errors import DataError, RunError, UsageError
from sartor.export import export, find_format, verify, verifying_target
from sartor.graph import trace
from sartor.machine import VERSION
from sartor.runs._config import RunConfig, command_line, require_threads
from sartor.runs._folder import RunFolder
from sartor.runs._layout import verification_of
from sartor.runs._subject import Subject, SubjectSource
from sartor.runs._verify import VerifiedRun, hold_against
from sartor.scoring import with_own_labels
from sartor.targets import Target, TargetOptions, taken
from sartor.tasks import TASKS, Task, as_task


class RunArtifacts(RunFolder):
    """The network of a run, and the files that are made of it.

    Args:
        folder: Where it is, or will be.
        model: The original network or its name, if it is not the one that ``run.json`` names.
        weights: Its trained weights, if it has another name.
        data: Images or their name, if they are not those that ``run.json`` names.
        target: What to build candidates for, if that was given to the search as an object.
        task: What the network is for, if that was given to the search as an object.
        config: What the run is asked to do; if not given, what ``run.json`` holds.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        model: nn.Module | str | None = None,
        weights: str | Path | None = None,
        data: Any = None,
        target: Target | None = None,
        task: Task | str | None = None,
        config: RunConfig | None = None,
    ) -> None:
        super().__init__(folder, config=config)
        self._model = model
        self._weights = Path(weights) if weights else None
        if isinstance(data, str | Path):
            # An option that was not given is an empty text: then the run's own data is meant.
            data = str(data) or None
        self._data = data
        self._target = target
        self._task = task

    @property
    def task(self) -> Task:
        """What the network is for.

        Raises `UsageError` where that was an object of Python which is not at hand.
        """
        if self._task is not None:
            return as_task(self._task)
        name = self.config.task
        if ":" not in name and name not in TASKS:
            raise UsageError(
                f"{self.folder} is of the task {name!r}, an object of Python. Give it: "
                "sartor.Run(folder, task=...) in Python, --task package.module:OBJECT on the "
                "command line"
            )
        return as_task(name)

    @property
    def base(self) -> Self | None:
        """The run that this one is based on. Raises `RunError` if it is not there any more."""
        folder = self.config.options.base
        if folder is None:
            return None
        if not folder.exists():
            raise RunError(f"{folder} does not exist; the run {self.folder} is based on it")
        base = type(self)(folder)
        return base if base.exists else None  # a network alone is no run

    @property
    def first(self) -> Self:
        """The run at the beginning of a chain of bases, whose original is that of all of them."""
        base = self.base
        return self if base is None else base.first

    def load(self) -> fx.GraphModule:
        """The latest network: what was fine-tuned, else repaired, else found.

        Raises `RunError` if there is none.
        """
        stored = self.latest
        original = self._source().build(stored.origin)
        return stored.load(original)

    def subject(self, *, calibration: int = 1) -> Subject:
        """The original network and its data, from what is at hand or by name.

        Images that are read by name have ``calibration`` for calibration. Raises `RunError` if
        neither is known.
        """
        origin = None
        if holds_network(self.folder):
            # It says how many classes and pixels the network was built for.
            origin = self.network.origin

        source = self._source()
        return source.load(calibration=calibration, origin=origin)

    def export(
        self,
        format: str = "onnx",  # noqa: A002 - what everybody calls it
        *,
        batch: int | None = None,
        out: str | Path | None = None,
    ) -> Path:
        """Write the latest network in the format of a runtime; returns the file.

        Args:
            format: onnx, openvino, executorch, aoti or pt2.
            batch: Images per run; any number if not given.
            out: The file; ``export/model`` with the format's suffix if not given.

        Raises `UsageError` for a format that is not known, `RunError` if there is no network yet.
        """
        form = find_format(format).on(self.config.options.target_options)
        stored = self.latest
        path = Path(out) if out else self.layout.artifact(form.suffix)
        original = self._source().build(stored.origin)
        network = stored.load(original)

        export(
            network,
            stored.inputs,
            path,
            form,
            metadata=self._metadata(stored),
            batch=batch,
        )
        # What was measured of the file that was replaced does not hold for this one.
        verification_of(path).unlink(missing_ok=True)
        self.refresh()
        return path

    def _metadata(self, stored: StoredNetwork) -> dict[str, str]:
        """What an exported file says of how it was made; runtimes keep only text."""
        is_finetuned = stored.folder == self.layout.finetuned
        is_repaired = self.repaired is not None
        versions = {"sartor": VERSION, "torch": str(torch.__version__)}
        return {
            "policy": stored.policy.to_json(),
            "budget": self.config.budget,
            "seed": str(self.config.options.seed),
            "repaired": json.dumps(is_repaired),
            "finetuned": json.dumps(is_finetuned),
            "versions": json.dumps(versions),
            "command": self.command,
        }

    def verify(
        self,
        format: str = "onnx",  # noqa: A002 - what everybody calls it
        *,
        artifact: str | Path | None = None,
        threads: int | None = None,
    ) -> VerifiedRun:
        """Run an exported file in its own runtime and hold it against what the run promised.

        It runs on the target of the search if that reads it, else on the usual one of its format.

        Args:
            format: What it was exported as.
            artifact: The file, if it is not where `export` writes it.
            threads: Threads of the runtime; those of the search if not given.

        Raises `RunError` if it was not exported, `DataError` if there are no test images.
        """
        require_threads(threads)
        stored = self.latest
        suffix = find_format(format).suffix
        path = Path(artifact) if artifact else self.layout.artifact(suffix)
        if not path.exists():
            again = command_line("export", self.folder, "--format", format)
            raise RunError(f"{path} does not exist; make it with: {again}")

        subject, images = self._source().load_both(1, stored.origin)
        if images.test is None:
            raise DataError(f"the data of {self.folder} has no test images to verify on")
        images = with_own_labels(images, subject.model, self.task)
        assert images.test is not None

        # Tracing looks at shapes only: one image is enough.
        image = images.calibration.batch(slice(0, 1))
        original = trace(subject.model, image).module
        candidate = stored.load(subject.model)
        target, options = self._verifying(format, threads)
        found = verify(
            path,
            format,
            candidate,
            original,
            images.test,
            options=options,
            target=target,
            task=self.task,
        )

        verified = hold_against(
            found,
            path,
            self.config,
            self.result,
            target=target,
            options=options,
        )
        verified.save()
        self.refresh()
        return verified

    def _verifying(self, form: str, threads: int | None) -> tuple[str, TargetOptions]:
        """Target and options under which files of a format are verified: as in the search."""
        searched = self.config.options
        target = verifying_target(form, searched.target)
        options = taken(target, searched.target_options)
        return target, dataclasses.replace(options, threads=threads or options.threads)

    @property
    def _given_names(self) -> tuple[str, ...]:
        """Flags of the command line that say what was given by name in place of the run's own."""
        names = {
            "--model": self._model,
            "--weights": self._weights,
            "--data": self._data,
            "--task": self._task,
        }
        words: list[str] = []
        for flag, name in names.items():
            # A network, images or a task that are objects cannot be written on a command line.
            is_name = isinstance(name, (str, Path))
            if is_name and name:
                word = str(name)
                words += [flag, word]

        return tuple(words)

    def _around(self, folder: Path) -> Self:
        """Another folder with the same objects at hand."""
        return type(self)(
            folder,
            model=self._model,
            weights=self._weights,
            data=self._data,
            target=self._target,
            task=self._task,
        )

    def _source(self, trained: RunConfig | None = None) -> SubjectSource:
        """Where the network and the data come from: what is at hand, or names.

        Weights are those of another run where one is given.
        """
        config = self.config
        trained = trained or config
        weights = self._weights or trained.weights
        return SubjectSource(
            model=self._model or config.model,
            weights=weights,
            data=config.data if self._data is None else self._data,
            seed=config.options.seed,
            folder=self.folder,
            pretrained=trained.pretrained and weights is None,
            inputs=config.inputs,
            images=self.layout.images,
        )
