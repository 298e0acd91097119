"""What the samples of one split may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.data.samples._object import ObjectSamples

#: Kinds of objects that hold the samples of one split, asked in this order.
SAMPLES: Registry[type[ObjectSamples]] = Registry(
    "kind of samples",
    {
        "huggingface": "sartor.data.samples._huggingface:HuggingFaceSamples",
        "loader": "sartor.data.samples._loader:LoaderSamples",
        "dataset": "sartor.data.samples._dataset:DatasetSamples",
        "iterable": "sartor.data.samples._iterable:IterableSamples",
    },
)
