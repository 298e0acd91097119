"""What the report of a stage that follows a search is, whatever stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from sartor.runs._records import read_record, to_text


class StageReport:
    """A dataclass that stands in a file of JSON under the names of its fields.

    Indexed by a name it gives the plain values that stand in the file.

    Attributes:
        SCHEMA: Version of what stands there.
    """

    SCHEMA: ClassVar[int] = 1

    def __getitem__(self, name: str) -> Any:
        """The plain values that the file holds under a name. Raises `KeyError`."""
        return json.loads(self.to_json())[name]

    def to_json(self) -> str:
        """The text of the file."""
        return to_text(self, self.SCHEMA)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file holds. Raises `RunError` if there is none, or one of another version."""
        missing = f"{path} does not exist"
        return read_record(cls, path, cls.SCHEMA, called="report", missing=missing)
