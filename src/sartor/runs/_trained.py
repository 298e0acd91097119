"""Training of what a run found: repaired without labels, fine-tuned with them."""

from __future__ import annotations

from collections.abc import Callable

from sartor.data import ALL
from sartor.errors import RunError
from sartor.finetune import Epoch, FinetuneOptions, Teacher
from sartor.machine import choose_device, torch_threads
from sartor.repair import RepairOptions
from sartor.runs._config import command_line, require_threads
from sartor.runs._finetune import FinetuneReport, Finetuning
from sartor.runs._picks import RunPicks
from sartor.runs._repair import Repairing, RepairReport
from sartor.track import trackers


class RunTraining(RunPicks):
    """A run whose network can be trained further."""

    def repair(
        self,
        options: RepairOptions | None = None,
        *,
        resume: bool = False,
        threads: int | None = None,
        device: str | None = None,
        on_round: Callable[[Epoch], None] = lambda epoch: None,
    ) -> RepairReport:
        """Repair what was found, without labels; it is in ``repaired`` when this returns.

        That is what the run delivers from then on, and what fine-tuning begins with; what was found
        stays where it is. It learns from the original, or that of the first run which it is based
        on, what this answers to the calibration images of the search.

        Args:
            options: How to repair.
            resume: Go on after the last whole round of a repair that was interrupted.
            threads: Threads of PyTorch; those of the search if not given.
            device: Where it is trained: auto, cpu, cuda, cuda:1 and so on, or mps; as the search
                was told if not given.
            on_round: Called after every round.

        Raises `RunError` if there already is a repair and ``resume`` is not set, and for a run that
        was fine-tuned.

        >>> RunTraining("runs/none").repair()
        Traceback (most recent call last):
        sartor.errors.RunError: runs/none/run.json does not exist; ...
        """
        require_threads(threads)
        config = self.config
        choose_device(device or config.options.device)
        self._require_repairable(resume=resume)

        with torch_threads(threads or config.threads):
            source = self._source(self.first.config)
            count = config.options.calibration_images
            subject, images = source.load_both(count, self.network.origin)
            repairing = Repairing(
                self.layout,
                subject.model,
                images,
                options or RepairOptions(),
                task=self.task,
                device=device or config.options.device,
                given=self._given(threads, device),
            )
            report = repairing.run(on_round)
        self.refresh()
        return report

    def finetune(
        self,
        options: FinetuneOptions | None = None,
        *,
        teacher: Teacher | None = None,
        resume: bool = False,
        threads: int | None = None,
        device: str | None = None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> FinetuneReport:
        """Train what was found, or repaired; it is in ``finetuned`` when this returns.

        It is compared with the original, or that of the first run which it is based on, and
        learns from it.

        Args:
            options: How to train.
            teacher: Other networks to learn from.
            resume: Go on after the last whole epoch of a fine-tuning that was interrupted.
            threads: Threads of PyTorch; those of the search if not given.
            device: Where it is trained: auto, cpu, cuda, cuda:1 and so on, or mps; as the search
                was told if not given.
            on_epoch: Called after every epoch.

        Raises `RunError` if there already is a fine-tuning and ``resume`` is not set, and if the
        run has no labelled images.
        """
        require_threads(threads)
        config = self.config
        choose_device(device or config.options.device)
        if self.layout.checkpoint.exists() and not resume:
            raise RunError(
                f"{self.layout.finetuned} already holds a fine-tuning; go on with --resume, or "
                "remove the folder"
            )
        begun = self.untuned

        with (
            torch_threads(threads or config.threads),
            trackers(config.track, self.folder) as listening,
        ):
            # Of a chain of runs, the first was searched from the weights of the original.
            source = self._source(self.first.config)
            subject, images = source.load_both(ALL, self.network.origin)

            def tell(epoch: Epoch) -> None:
                for tracker in listening:
                    tracker.on_epoch(epoch)
                on_epoch(epoch)

            tuning = Finetuning(
                self.layout,
                begun.folder,
                subject.model,
                images,
                options or FinetuneOptions(),
                teacher or Teacher(),
                task=self.task,
                classes=subject.classes,
                name=config.model or "the original",
                device=device or config.options.device,
                given=self._given(threads, device),
            )
            report = tuning.run(tell)
        self.refresh()
        return report

    def _require_repairable(self, *, resume: bool) -> None:
        """Raise `RunError` where a repair would write over another, or would not be delivered."""
        if self.layout.checkpoint.exists():
            further = command_line("pick", self.folder, "--finetuned")
            raise RunError(
                f"{self.layout.finetuned} holds a fine-tuning, which is what the run delivers; "
                f"repair that with: {further}, then sartor repair {self.layout.further}, or remove "
                "the folder"
            )
        if self.layout.repair_checkpoint.exists() and not resume:
            raise RunError(
                f"{self.layout.repaired} already holds a repair; go on with --resume, or remove "
                "the folder"
            )

    def _given(self, threads: int | None, device: str | None) -> tuple[str, ...]:
        """Flags of the command line that say what is not in the folder of the run."""
        given = self._given_names
        if threads:
            given = (*given, "--threads", str(threads))
        if device:
            given = (*given, "--device", device)
        return given
