"""What to do after each command, as commands that can be pasted."""

from __future__ import annotations

from pathlib import Path

from sartor.runs import command_line

_FIRST = "next: "
_FURTHER = " " * len(_FIRST)


def after_search(folder: Path) -> str:
    """What to do with what a search found."""
    return _steps(
        command_line("show", folder),
        command_line("finetune", folder),
        command_line("export", folder),
    )


def after_repair(folder: Path) -> str:
    """What to do with what was repaired in the folder of a run."""
    return _steps(command_line("export", folder), command_line("finetune", folder))


def after_finetune(folder: Path) -> str:
    """What to do with what was fine-tuned in the folder of a run."""
    return _steps(command_line("export", folder), command_line("report", folder))


def choose_episode(folder: Path) -> str:
    """How one of the episodes that are listed is picked."""
    return _steps(f"{command_line('pick', folder, '--episode')} N")


def after_pick(folder: Path) -> str:
    """What to do with an episode that was picked, in the folder that was made for it."""
    return _steps(
        command_line("finetune", folder),
        command_line("repair", folder),
        command_line("export", folder),
    )


def after_export(folder: Path, form: str, artifact: Path | None) -> str:
    """What to do with an artifact; it lies where export writes it if ``artifact`` is None."""
    elsewhere = () if artifact is None else ("--artifact", artifact)
    return _steps(command_line("verify", folder, "--format", form, *elsewhere))


def after_verify(folder: Path) -> str:
    """What to do once an artifact keeps what was promised."""
    return _steps(command_line("report", folder))


def _steps(first: str, *further: str) -> str:
    lines = [_FIRST + first, *(_FURTHER + line for line in further)]
    return "\n".join(lines)
