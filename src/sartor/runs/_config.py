"""The options of a run: from the command line, a TOML file, or the folder of an earlier run."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from sartor.errors import UsageError
from sartor.machine import structure
from sartor.models import InputOptions
from sartor.pipeline import SearchOptions
from sartor.runs._layout import Layout
from sartor.runs._records import read_record, write_record
from sartor.tasks import TASKS
from sartor.track import TRACKERS

SCHEMA = 1
#: With other values of these a run can go on; a folder may have been moved.
_MAY_CHANGE = (
    "episodes",
    "worth",
    "max-time",
    "repair",
    "repair-images",
    "repair-share",
    "repair-pool",
    "threads",
    "out",
)


@dataclass(frozen=True)
class RunConfig:
    """What to compress, on which data, to which budget.

    Attributes:
        model: Zoo name, timm:NAME, torchvision:NAME, or package.module:callable.
        weights: Its trained weights: a .safetensors file, or one of torch.save (.pt, .pth, .ckpt).
        pretrained: Fetch the weights that timm or torchvision have for their network.
        data: Folder of Parquet files or of images, digits, or package.module:callable that gives
            the data: a DataLoader, a Dataset, an iterable, or a mapping of splits to these.
        task: What the network is for: classification, classification-top5, multi-label,
            segmentation, regression, detection, embedding, or package.module:OBJECT.
        budget: Bounds on macs, params, size, bops or latency, joined by commas: macs<=50%,
            params<=300K, size<=500KB, latency<=0.3 (of the original's) or latency<=4ms; of an
            FPGA on its rate and resources: fps>=1000,lut<=40K,bram<=80%,dsp<=80%.
            Or how good the smallest network has to be: accuracy>=-1%, which is what may be
            lost, or accuracy>=90%; smallest in what is bounded beside it, else in latency if
            there is a target, else in MACs. Empty: none.
        out: Folder of the run.
        threads: Threads of PyTorch; all cores if not given.
        track: Trackers that episodes and epochs go to: tensorboard, mlflow, or
            package.module:Class.
        inputs: How images become the network's inputs.
        options: How to search.
    """

    model: str = ""
    weights: Path | None = None
    pretrained: bool = False
    data: str = ""
    task: str = "classification"
    budget: str = "macs<=50%"
    out: Path | None = None
    threads: int | None = None
    track: tuple[str, ...] = ()
    inputs: InputOptions = field(default_factory=InputOptions)
    options: SearchOptions = field(default_factory=SearchOptions)

    def require_complete(self) -> None:
        """Raise `UsageError` naming the first option that is missing."""
        for name in ("model", "data", "out"):
            if not getattr(self, name):
                raise UsageError(
                    f"--{name} is missing; it can be given on the command line or in the file of "
                    "--config"
                )

        # Said now: a search would find it out when it writes its first episode.
        place = self._not_a_folder()
        if place is not None:
            raise UsageError(f"--out {self.out} cannot be a folder: {place} is a file")

        require_threads(self.threads)
        TASKS.require(self.task)
        self.inputs.require_valid()
        for name in self.track:
            TRACKERS.require(name)

    def _not_a_folder(self) -> Path | None:
        """The file that stands where the folder of the run, or one that holds it, should."""
        assert self.out is not None
        for place in (self.out, *self.out.parents):
            if place.exists() and not place.is_dir():
                return place
        return None

    @property
    def command(self) -> str:
        """The command line that makes this run again: every option that is not the default.

        A run whose network and data were objects of Python has none; then it is the call.
        """
        if self.model and self.data:
            return command_line("search", *flags(self))
        return f"sartor.compress(model, data, budget={self.budget!r}, ...) in Python"

    def save(self, folder: Path) -> None:
        """Write ``run.json`` into a folder."""
        write_record(Layout(folder).config, self, SCHEMA)

    @classmethod
    def read(cls, folder: Path) -> RunConfig:
        """What `save` wrote. Raises `RunError` if the folder is not that of a run."""
        path = Layout(folder).config
        missing = f"{path} does not exist; {folder} is not the folder of a run"
        return read_record(cls, path, SCHEMA, called="run", missing=missing)

    @classmethod
    def from_toml(cls, path: Path) -> RunConfig:
        """Options from a TOML file with the names of the command line, hyphens or underscores.

        Options of the search stand in ``[options]``, those of pruning in ``[options.compress]``.
        Raises `UsageError` naming the file and the key that is wrong.
        """
        if not path.is_file():
            raise UsageError(f"--config {path} does not exist")
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"--config {path} is not TOML: {error}") from error

        return structure(cls, content, str(path))


def require_resumable(folder: Path, wanted: RunConfig) -> None:
    """Raise `UsageError` for options with which the run in a folder cannot go on.

    Its episodes depend on almost all of them; more episodes or more time only add to it.
    """
    stored = dict(_options(RunConfig.read(folder)))
    for name, value in _options(wanted):
        before = stored[name]
        if value == before or name in _MAY_CHANGE:
            continue
        allowed = ", ".join(f"--{name}" for name in _MAY_CHANGE if name != "out")
        raise UsageError(
            f"--resume {folder} goes on with the run as it was begun: --{name} is "
            f"{_written(before)} and cannot become {_written(value)}; {allowed} may change"
        )


def _options(config: Any) -> Iterator[tuple[str, object]]:
    """Options of a dataclass, by the names of the command line."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from _options(value)
        else:
            yield item.name.replace("_", "-"), value


def _written(value: object) -> str:
    """A value as on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "empty"
    return "not given" if value in (None, "") else str(value)


def require_threads(threads: int | None) -> None:
    """Raise `UsageError` for a number of threads that cannot be."""
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}; it must be at least 1")


def command_line(*arguments: object) -> str:
    """A command that can be pasted into a shell, whatever its paths hold.

    >>> command_line("show", Path("my runs/a"))
    "sartor show 'my runs/a'"
    """
    words = [str(argument) for argument in arguments]
    return shlex.join(["sartor", *words])


def flags(options: Any, prefix: str = "") -> Iterator[str]:
    """Flags and values of a command line for options, a dataclass, that are not the defaults.

    >>> list(flags(RunConfig(budget="macs<=30%", options=SearchOptions(seed=1))))
    ['--budget', 'macs<=30%', '--seed', '1']
    """
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        flag = prefix + item.name.replace("_", "-")
        default = item.default if item.default is not MISSING else None

        if dataclasses.is_dataclass(value):
            # The command line omits the prefixes of nested options.
            yield from flags(value)
        elif value == default:
            continue
        elif isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        elif isinstance(value, tuple):
            yield f"--{flag}"
            yield ",".join(map(str, value))
        else:
            yield f"--{flag}"
            yield str(value)
