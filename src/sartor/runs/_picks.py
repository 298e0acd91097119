"""Other networks of a run than the best one, each in a folder that is a run of its own."""

from __future__ import annotations

import dataclasses
from typing import Self

from sartor.budget import Budget
from sartor.compression import copy_network, holds_network, on_device, save_network
from sartor.errors import RunError, UsageError
from sartor.machine import CPU, reproducible, torch_threads, write_text
from sartor.pipeline import make_compressor, make_problem, make_target, read_base
from sartor.runs._artifacts import RunArtifacts
from sartor.runs._config import command_line
from sartor.search import Episode


class RunPicks(RunArtifacts):
    """A run of which other networks can be picked."""

    def pick(self, number: int) -> Self:
        """Write the network of an episode to ``episode-N``; that folder is a run of its own.

        It is refitted from as many images as a finalist. Raises `UsageError` for an episode that
        the run does not have, `RunError` if there is no run.
        """
        config = self.config
        options = config.options
        executed = self._episode(number).executed
        with torch_threads(config.threads):
            count = options.compress.most_images
            subject, images = self._source().load_both(count)
            calibration = images.calibration.normalized()
            target = self._target or make_target(options)
            compressor = make_compressor(subject.model, calibration, calibration, options, target)
            base = read_base(options)
            # Without bounds: counts are what was executed, they are not projected again.
            problem = make_problem(compressor, Budget(()), options, target, base=base)
            counts = problem.counts(executed)
            policy = problem.policy(counts)
            with reproducible(compressor.device):
                candidate = compressor.candidate(policy, final=True)

        picked = self._around(self.layout.episode(number))
        save_network(
            picked.folder,
            compressor.network,
            on_device(candidate, CPU),
            policy,
            kept=compressor.kept(policy),
            origin=subject.origin,
            scheme=compressor.scheme,
        )
        # Nothing was promised of this one.
        promised = dataclasses.replace(config, out=picked.folder, budget="")
        promised.save(picked.folder)
        return picked

    def _episode(self, number: int) -> Episode:
        if not self.episodes:
            raise RunError(f"{self.folder} holds no episodes yet")
        for episode in self.episodes:
            if episode.number == number:
                return episode

        last = self.episodes[-1].number
        raise UsageError(f"episode {number} is not in {self.folder}; it has 0 to {last}")

    def pick_finetuned(self) -> Self:
        """Write what was fine-tuned to ``further``, a run of its own, to train it once more.

        Raises `RunError` if nothing was, or if that is there already.
        """
        further = self._around(self.layout.further)
        if not holds_network(self.layout.finetuned):
            raise RunError(
                f"{self.folder} holds nothing that was fine-tuned; go on with: "
                f"{command_line('finetune', self.folder)}"
            )
        if holds_network(further.folder):
            raise RunError(f"{further.folder} is there already; fine-tune it, or remove it")
        self.require_current()

        config = dataclasses.replace(self.config, out=further.folder)
        config.save(further.folder)
        if self.config.budget:  # what was promised still is
            result = self.require_result()
            write_text(further.layout.result, result.to_json())
        copy_network(further.folder, self.layout.finetuned)
        return further
