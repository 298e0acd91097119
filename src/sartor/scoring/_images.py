"""How good a network is on images."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression import device_of, fastest_dtype, fold, is_quantized, on_device
from sartor.data import Images
from sartor.machine import CPU, reproducible
from sartor.scoring._inputs import Inputs, pass_size
from sartor.scoring._prefixes import Prefixes
from sartor.scoring._race import estimate, is_hopeless
from sartor.scoring._score import Score
from sartor.scoring._tally import Tally
from sartor.targets import Deployment
from sartor.tasks import CLASSIFICATION, Outputs, Task

#: Images per forward pass on the CPU: few enough for activations to stay in its cache; and on a
#: GPU: enough to keep it busy, fewer where its memory is too small for them.
_BATCH = 100
_BATCH_ON_GPU = 512
#: Bytes of the original's answers that are kept; of pixels and dense maps it answers again.
_KEPT = 256 * 2**20
#: Bytes of values inside candidates that are kept.
_KEPT_INSIDE = 2**27
#: A candidate may be given up after these parts of the images.
_LOOKS = (16, 8, 4, 2)

#: Outputs for images from … to.
Run = Callable[[int, int], Any]


class ImageScorer:
    """The metric of a task on images, and the divergence from an original network.

    While scoring, after 1/16, 1/8, 1/4 and 1/2 of the images, a one-sided paired test on those seen
    decides whether to go on; the chance of stopping a candidate that is better by as much as all
    images can tell, two standard errors, stays below 5 % over all looks. A stopped candidate is
    credited with the rival's score plus the difference seen.

    >>> from sartor.graph import trace
    >>> images = Images(torch.eye(4).view(4, 4, 1, 1), labels=torch.tensor([0, 1, 2, 0]))
    >>> network = trace(nn.Flatten(), images.pixels).module
    >>> ImageScorer(images).score(network).accuracy
    0.75

    Args:
        images: With labels as the task wants them.
        task: What outputs are compared with labels by.
        limit: How many of them to use; all if None.
        seed: Of the order in which they are looked at.
        dtype: What networks compute in, unless they are quantized.
        original: The network that the divergence is measured from.
        deployment: Where quantized networks run, so that their accuracy is the delivered one; where
            there is none, rounding is simulated in fp32.
        device: Where all others run.
        many: Whether many networks will be scored: then images are kept as these read them and, on
            the CPU, values inside networks for those that begin alike.
    """

    def __init__(
        self,
        images: Images,
        *,
        task: Task = CLASSIFICATION,
        limit: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        original: fx.GraphModule | None = None,
        deployment: Deployment | None = None,
        device: torch.device = CPU,
        many: bool = False,
    ) -> None:
        self._images = images
        self._task = task
        self._limit = limit
        self._seed = seed
        self._dtype = dtype
        self._original = original
        self._deployment = deployment
        self._device = device
        self._many = many
        self._batch = _BATCH_ON_GPU
        if device.type == "cpu":
            self._batch = pass_size(images, _BATCH)

    @classmethod
    def in_fastest_dtype(
        cls,
        network: fx.GraphModule,
        images: Images,
        *,
        task: Task = CLASSIFICATION,
        limit: int | None = None,
        seed: int = 0,
        compare: bool = False,
        deployment: Deployment | None = None,
    ) -> ImageScorer:
        """A scorer of candidates of a ``network``, where it is, in what is computed fastest there.

        With ``compare``, the divergence of candidates from it is measured.
        """
        device = device_of(network)
        few = images.batch(slice(0, 2), device)
        dtype = fastest_dtype(network, (few,))
        return cls(
            images,
            task=task,
            limit=limit,
            seed=seed,
            dtype=dtype,
            original=network if compare else None,
            deployment=deployment,
            device=device,
            many=True,
        )

    def __len__(self) -> int:
        return len(self._order)

    @torch.no_grad()
    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Score a traced network. Raises `UsageError` and `DataError` as `Task.require` does."""
        assert isinstance(network, fx.GraphModule)
        with reproducible(self._device):
            return self._score(network, rival)

    def release(self) -> None:
        """Let go of images that are made ready, and of values inside networks."""
        made = ("_inputs", "_exact_inputs", "_inputs_of_target", "_original_run", "_prefixes")
        for name in made:
            self.__dict__.pop(name, None)

    def _score(self, network: fx.GraphModule, rival: Score | None) -> Score:
        # Candidates are compared with what it answers, so that is known.
        if network is self._original and self._kept is not None:
            return self._score_of_original

        run = self._runner(network)
        tally = Tally(self._task)

        for look in self._looks:
            self._run_on(run, tally, look)
            if rival is None:
                continue

            score = tally.score()
            if self._is_hopeless(score, rival):
                return estimate(score, rival)

        self._run_on(run, tally, len(self))
        return tally.score()

    def _run_on(self, run: Run, tally: Tally, stop: int) -> None:
        """Run a network on the images after those that were tallied, up to ``stop``."""
        while tally.seen < stop:
            first = tally.seen
            outputs, last = self._outputs(run, first, stop)
            labels = self._labels[first:last]
            if not first:
                self._task.require(outputs, self._labels)
            tally.add(outputs, labels, self._expected(first, last))

    def _outputs(self, run: Run, first: int, stop: int) -> tuple[Outputs, int]:
        """Outputs for a batch of images from ``first`` on, and where it ended, at most ``stop``."""
        while True:
            last = min(first + self._batch, stop)
            try:
                outputs = self._task.outputs(run(first, last))
            except torch.OutOfMemoryError:
                if self._batch == 1:
                    raise
                # From now on, for the next candidate is no smaller by much.
                self._batch //= 2
            else:
                # Those of a runtime come from the CPU.
                return tuple(item.to(self._device) for item in outputs), last

    def _is_hopeless(self, score: Score, rival: Score) -> bool:
        saw_the_same = rival.images == len(self)
        return saw_the_same and is_hopeless(score, rival, len(self._looks))

    def _runner(self, network: fx.GraphModule) -> Run:
        """What runs a network in the form that the device, or the target, runs fastest."""
        forward: Callable[[Tensor], Any]
        deployment = self._deployment
        if not is_quantized(network):
            inputs = self._inputs
            folded = fold(on_device(network, self._device), self._dtype)
            if self._keeps_inside and network is not self._original:
                return self._prefixes.runner(folded, inputs.batch)
            forward = folded
        elif deployment is None or not deployment.target.runs:
            inputs = self._exact_inputs
            forward = on_device(network, self._device)
        else:
            inputs = self._inputs_of_target
            forward = deployment.forward(network)

        return lambda start, stop: forward(inputs.batch(start, stop))

    @property
    def _keeps_inside(self) -> bool:
        """Whether values inside networks are kept: GPUs have less room, and hardly need it."""
        return self._many and self._device.type == "cpu"

    @cached_property
    def _prefixes(self) -> Prefixes:
        return Prefixes(len(self), _KEPT_INSIDE)

    @cached_property
    def _order(self) -> Tensor:
        """The numbers of the images that are used, in the order in which they are looked at."""
        # Shuffled, because data sets may be sorted by class, and the first images have to stand for
        # all of them.
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        order = torch.randperm(len(self._images), generator=generator)
        return order[: self._limit]

    @cached_property
    def _labels(self) -> Tensor:
        return self._images.labels[self._order].to(self._device)

    @cached_property
    def _looks(self) -> list[int]:
        """After how many images a candidate may be given up."""
        # A set, because parts of few images may be the same.
        counts = {max(1, len(self) // part) for part in _LOOKS}
        return sorted(count for count in counts if count < len(self))

    @cached_property
    def _inputs(self) -> Inputs:
        """The images in the form that networks are scored in."""
        return self._inputs_in(self._dtype, self._device)

    @cached_property
    def _exact_inputs(self) -> Inputs:
        """The images in fp32."""
        return self._inputs_in(torch.float32, self._device)

    @cached_property
    def _inputs_of_target(self) -> Inputs:
        """The images in fp32, for a runtime."""
        return self._exact_inputs if self._device == CPU else self._inputs_in(torch.float32, CPU)

    def _inputs_in(self, dtype: torch.dtype, device: torch.device) -> Inputs:
        return Inputs(self._images, self._order, dtype, device, keep=self._many)

    def _expected(self, first: int, last: int) -> Outputs | None:
        """What the original answers; None where nothing is compared with it."""
        if self._original is None:
            return None
        if self._kept is None:
            return self._answers(first, last)
        return tuple(item[first:last] for item in self._kept)

    @cached_property
    def _kept(self) -> Outputs | None:
        """What the original answers to all images; None where that takes too much memory."""
        few = self._answers(0, min(len(self), 2))
        numbers = sum(item[0].numel() for item in few)
        if len(self) * numbers * few[0].itemsize > _KEPT:
            return None

        return self._answers(0, len(self))

    @cached_property
    def _score_of_original(self) -> Score:
        """Of the outputs that are kept: the network need not run again."""
        assert self._kept is not None
        tally = Tally(self._task)
        tally.add(self._kept, self._labels, self._kept)
        return tally.score()

    @torch.no_grad()
    def _answers(self, first: int, last: int) -> Outputs:
        batches: list[Outputs] = []
        while first < last:
            outputs, first = self._outputs(self._original_run, first, last)
            batches.append(outputs)
        return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))

    @cached_property
    def _original_run(self) -> Run:
        assert self._original is not None
        return self._runner(self._original)
