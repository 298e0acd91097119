"""Dataclasses as JSON files with a schema."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from sartor.errors import RunError
from sartor.machine import read_json, structure, write_text

Record = TypeVar("Record")


def to_text(record: Any, schema: int) -> str:
    """A dataclass as the text of a JSON file; paths are strings."""
    content = {"schema": schema, **dataclasses.asdict(record)}
    return json.dumps(content, indent=1, default=str) + "\n"


def write_record(path: Path, record: Any, schema: int) -> None:
    """Write a dataclass to a JSON file."""
    write_text(path, to_text(record, schema))


def read_record(
    kind: type[Record], path: Path, schema: int, *, called: str, missing: str
) -> Record:
    """The dataclass that `write_record` wrote.

    Raises `RunError`, with the sentence ``missing``, if there is no file, and for one that is not
    a ``called`` of this schema.
    """
    content = read_json(path, missing=missing, error=RunError)
    found = content.pop("schema", None)
    if found != schema:
        raise RunError(f"{path} is not a {called} of schema {schema}; another version wrote it")
    return structure(kind, content, str(path), RunError)
