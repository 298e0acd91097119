"""What to do after each command, as commands that can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

_FIRST = "next: "
_FURTHER = " " * len(_FIRST)


def command(*words: str | Path) -> str:
    """A command line of sartor that a shell reads as these words.

    >>> command("show", Path("my run"))
    "sartor show 'my run'"
    """
    return shlex.join(["sartor", *map(str, words)])


def after_search(folder: Path) -> str:
    """What to do with what a search found."""
    return _steps(command("show", folder), command("finetune", folder), command("export", folder))


def after_finetune(folder: Path) -> str:
    """What to do with what was fine-tuned in the folder of a run."""
    return _steps(command("export", folder), command("report", folder))


def after_pick(folder: Path) -> str:
    """What to do with an episode that was picked, in the folder that was made for it."""
    return _steps(command("finetune", folder), command("export", folder))


def after_export(folder: Path, form: str, artifact: Path | None) -> str:
    """What to do with an artifact; it lies where export writes it if ``artifact`` is None."""
    elsewhere = () if artifact is None else ("--artifact", artifact)
    return _steps(command("verify", folder, "--format", form, *elsewhere))


def after_verify(folder: Path) -> str:
    """What to do once an artifact keeps what was promised."""
    return _steps(command("report", folder))


def _steps(first: str, *further: str) -> str:
    lines = [_FIRST + first, *(_FURTHER + line for line in further)]
    return "\n".join(lines)
