"""Files that are either whole or absent."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sartor.errors import SartorError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Put a file in place in one step, once ``write`` has filled a temporary one beside it.

    Folders that are missing are made. If ``write`` raises, what was at ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # The content has to be on the disk before the name is.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())

        # Temporary files can be read by their owner only.
        mode = 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:  # also where the user interrupts
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, in one step.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a/note.txt", "hello")
    ...     (Path(folder) / "a/note.txt").read_text()
    'hello'
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path, *, missing: str, error: type[SartorError]) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises ``error`` if it holds anything else, with the sentence ``missing`` if there is no file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: object = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        raise error(missing) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise error(f"{path} is not JSON: {cause}") from cause

    if not isinstance(content, dict):
        kind = type(content).__name__
        raise error(f"{path} holds a {kind}; it must hold an object")
    return content


def _umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
