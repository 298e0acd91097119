"""The options of a run: from the command line, a TOML file, or the folder of an earlier run."""

from __future__ import annotations

import dataclasses
import json
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from sartor.errors import RunError, UsageError
from sartor.machine import read_json, structure, write_text
from sartor.pipeline import SearchOptions
from sartor.track import TRACKERS

SCHEMA = 1
RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunConfig:
    """What to compress, on which data, to which budget."""

    model: str = ""
    """Zoo name, timm:NAME, or package.module:callable."""
    weights: Path | None = None
    """A .safetensors file with the trained weights."""
    data: str = ""
    """Folder of Parquet files or images, or digits."""
    budget: str = "macs<=50%"
    """Bounds on macs, params, size, bops or latency, joined by commas: macs<=50%, params<=300K, size<=500KB, latency<=0.3 (of the
    original's) or latency<=4ms. Empty: none."""
    out: Path | None = None
    """Folder of the run."""
    threads: int | None = None
    """Threads of PyTorch; all cores if not given."""
    track: tuple[str, ...] = ()
    """Trackers that episodes and epochs go to: tensorboard, mlflow, or package.module:Class."""
    options: SearchOptions = field(default_factory=SearchOptions)

    def require_complete(self) -> None:
        """Raise `UsageError` naming the first option that is missing."""
        for name, value in (("model", self.model), ("data", self.data), ("out", self.out)):
            if not value:
                raise UsageError(
                    f"--{name} is missing; it can be given on the command line or in the file of --config"
                )
        if (place := self._not_a_folder()) is not None:
            raise UsageError(f"--out {self.out} cannot be a folder: {place} is a file")
        require_threads(self.threads)
        for name in self.track:
            TRACKERS.require(name)

    def _not_a_folder(self) -> Path | None:
        """The file that stands where the folder of the run, or one that holds it, should."""
        assert self.out is not None
        return next(
            (
                place
                for place in (self.out, *self.out.parents)
                if place.exists() and not place.is_dir()
            ),
            None,
        )

    def command(self) -> str:
        """The command line that makes this run again: every option that is not the default."""
        return shlex.join(["sartor", "search", *words(self)])

    def save(self, folder: Path) -> None:
        """Write ``run.json``."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        write_text(folder / RUN_FILE, json.dumps(content, indent=1, default=str) + "\n")


def require_threads(threads: int | None) -> None:
    """Raise `UsageError` for a number of threads that cannot be."""
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}; it must be at least 1")


def words(options: Any, prefix: str = "") -> Iterator[str]:
    """Flags and values of a command line that say options, a dataclass, where they are not the defaults."""
    for item in dataclasses.fields(options):
        value, flag = getattr(options, item.name), prefix + item.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from words(value)
        elif value == (item.default if item.default is not MISSING else None):
            continue
        elif isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield from (
                f"--{flag}",
                ",".join(map(str, value)) if isinstance(value, tuple) else str(value),
            )


def from_folder(folder: Path) -> RunConfig:
    """The options an earlier run was started with. Raises `RunError` if there is no run."""
    path = folder / RUN_FILE
    missing = f"{path} does not exist; {folder} is not the folder of a run"
    content = read_json(path, missing=missing, error=RunError)
    if content.pop("schema", None) != SCHEMA:
        raise RunError(f"{path} is not a run of schema {SCHEMA}")
    return structure(RunConfig, content, str(path))


def first_of(config: RunConfig) -> RunConfig:
    """The run at the beginning of a chain of bases: what it compressed is the original of all of them.

    Raises `RunError` if a base is not there any more.
    """
    while (base := config.options.base) is not None:
        if not base.exists():
            raise RunError(f"{base} does not exist; the run {config.out} is based on it")
        if not (base / RUN_FILE).exists():
            break  # saved from Python: no run, only its network
        config = from_folder(base)
    return config


def from_toml(path: Path) -> RunConfig:
    """Options from a TOML file with the names of the command line, underscores for hyphens.

    Options of the search stand in ``[options]``, those of pruning in ``[options.compress]``.
    """
    if not path.is_file():
        raise UsageError(f"--config {path} does not exist")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    return structure(RunConfig, content, str(path))
