"""Samples of whatever holds them."""

from __future__ import annotations

from typing import Any

from sartor.data._source import Samples
from sartor.data.samples._registry import SAMPLES
from sartor.errors import UsageError


def as_samples(value: Any, place: str) -> Samples:
    """The samples that an object holds; ``place`` is what messages call it.

    Raises `UsageError` for an object of no kind that is known.

    >>> len(as_samples([("an image", 3), ("another", 4)], "the list"))
    2
    """
    if isinstance(value, Samples):
        return value
    for kind in SAMPLES:
        samples = SAMPLES.get(kind)
        if samples.recognises(value):
            return samples(value, place)
    raise UsageError(
        f"{place} is a {type(value).__name__}; allowed are a torch DataLoader or Dataset, a "
        "Hugging Face dataset, an iterable of (inputs, targets), a mapping of train, validation "
        "and test to these, sartor.Data, or a sartor.data.Source"
    )
