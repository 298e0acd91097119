"""Where data sets come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.data._source import Source

#: Kinds of sources, asked in this order whether a place is of theirs.
SOURCES: Registry[type[Source]] = Registry(
    "data source",
    {
        "digits": "sartor.data.sources:Digits",
        "parquet": "sartor.data.sources:ParquetFolder",
        "images": "sartor.data.sources:ImageFolder",
    },
)
