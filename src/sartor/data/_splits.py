"""Which samples are for what: calibration and training, validation, test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sartor.data._source import Samples, Source, SplitName
from sartor.data.samples import as_samples
from sartor.data.sources import Objects
from sartor.errors import DataError
from sartor.machine import IntArray


@dataclass(frozen=True, eq=False)
class Part:
    """Some samples of a split.

    Attributes:
        samples: All of the split.
        numbers: Which of them, (count,), in which order.
    """

    samples: Samples
    numbers: IntArray

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def held_out(cls, samples: Samples) -> Part:
        """All samples: in their order, or, since parts of them need every class, in a drawn one.

        That is the same for every seed: runs are based on each other.
        """
        whole = cls(samples, np.arange(len(samples)))
        if not samples.are_sorted:
            return whole
        return whole.drawn(len(whole), np.random.default_rng(0))

    @classmethod
    def train(cls, samples: Samples) -> Part:
        """All samples, of which some are drawn."""
        return cls(samples, np.arange(len(samples)))

    def __getitem__(self, rows: slice | IntArray) -> Part:
        return Part(self.samples, self.numbers[rows])

    def drawn(self, count: int, rng: np.random.Generator) -> Part:
        """Some at random."""
        return self[rng.permutation(len(self))[:count]]


@dataclass(frozen=True, eq=False)
class Plan:
    """Which samples are for what.

    Attributes:
        train: Those that calibration images are drawn from.
        validation: Those for the reward.
        test: Those that are scored once; None if there are none.
        remarks: How what is held out was chosen, if that needs to be said.
    """

    train: Part
    validation: Part
    test: Part | None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Source) -> Plan:
        """What the splits of a source are for; the same for every seed: runs build on each other.

        Raises `DataError` for splits that are missing, empty or without labels.
        """
        if isinstance(source, Objects) and source.is_whole:
            return _divided(source.whole())

        train = _required(source, "train")
        if not source.has("validation"):
            test = _required(source, "test")
            return _halved(train, test, "there is no validation split: the test split")

        validation = _required(source, "validation")
        if not source.has("test"):
            return _halved(train, validation, "there is no test split: the validation split")

        # Those of a competition, for instance, are published without labels.
        test = _samples(source, "test")
        if not test.are_labelled:
            return _halved(train, validation, "the test split has no labels: the validation split")
        return cls(Part.train(train), Part.held_out(validation), Part.held_out(test))


def _samples(source: Source, split: SplitName) -> Samples:
    return as_samples(source.samples(split), f"the {split} split of {source.place}")


def _required(source: Source, split: SplitName) -> Samples:
    samples = _samples(source, split)
    samples.require_labels()
    return samples


def _halved(train: Samples, held_out: Samples, why: str) -> Plan:
    """What is held out once gives the validation and the test images."""
    part = Part.held_out(held_out)
    # Validation has the odd one: a single image is scored, not tested.
    half = (len(part) + 1) // 2

    numbers = part.numbers.tolist()
    labels = [held_out.labels[number] for number in numbers]
    are_alike = _kinds(labels[:half]) == _kinds(labels[half:])
    if len(part) > 1 and not are_alike:
        # Rows in the order of something else, most likely.
        rng = np.random.default_rng(0)
        part = part.drawn(len(part), rng)

    validation = part[:half]
    count = len(part) - half
    test = part[half:] if count else None
    remark = f"{why} was halved, {half:,} validation images and {count:,} test images"
    return Plan(Part.train(train), validation, test, (remark,))


def _divided(samples: Samples) -> Plan:
    """Parts of data without splits: a half, a quarter and a quarter."""
    samples.require_labels()
    count = len(samples)
    if count < 4:
        raise DataError(
            f"{samples.place} has {count} samples and no splits; at least 4 are needed, or a "
            "mapping of train, validation and test"
        )

    shuffled = Part.train(samples).drawn(count, np.random.default_rng(0))
    half = count // 2
    rest = (count - half + 1) // 2
    train = shuffled[:half]
    validation = shuffled[half : half + rest]
    test = shuffled[half + rest :]
    remark = (
        f"no splits: of {count:,} samples, {half:,} drawn at random are for calibration and "
        f"training, {len(validation):,} for validation, {len(test):,} for test"
    )
    return Plan(train, validation, test, (remark,))


def _kinds(labels: Sequence[Any]) -> set[Any]:
    """The labels that there are. Arrays count as what they hold."""
    return {_hashable(label) for label in labels}


def _hashable(label: Any) -> Any:
    if hasattr(label, "tolist"):
        label = label.tolist()
    return repr(label) if isinstance(label, list) else label
