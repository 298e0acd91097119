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
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(Path(name))
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path, *, missing: str, error: type[SartorError]) -> dict[str, Any]:
    """The object a JSON file holds; raises ``error``, with the sentence ``missing`` if the file is not there."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise error(missing) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise error(f"{path} is not JSON: {cause}") from cause
    if not isinstance(content, dict):
        raise error(f"{path} holds a {type(content).__name__}; it must hold an object")
    return content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
