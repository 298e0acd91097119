"""What an export format is: how an artifact is written, and what belongs to it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor, fx

from sartor.machine import Float32Array
from sartor.targets import TargetOptions

#: What the metadata stands under, where a format has names for it.
KEY = "sartor"


class Format(ABC):
    """A format of artifacts; a new one derives from this and is used by its name.

    Its conformance tests are `sartor.testing.FormatConformance`. A class of a package of your own
    is named ``package.module:Class``; ``sartor.export.FORMATS.register`` gives it a short name.

    Attributes:
        name: What the command line calls it.
        suffix: How its files end, with the dot.
        runtime: Name of the target that runs its artifacts, by which they are verified; empty if
            nothing here does.
        dynamic: Whether it can leave the batch size open.
        names_layers: Whether `layer_outputs` can tell what each layer computes.
        exact: Whether its runtime computes what the network does to the last bit, where steps are
            powers of two; `verify` holds it to that then.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    runtime: ClassVar[str] = ""
    dynamic: ClassVar[bool] = True
    names_layers: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def on(self, options: TargetOptions) -> Self:
        """The format as a target of these options reads it; most are the same for all."""
        return self

    @abstractmethod
    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """Write a network, its batch norms folded or quantized, whole or not at all.

        ``inputs`` are of the batch size that the artifact is to have or, if it is ``dynamic``, of
        some size above 1. ``metadata`` stands inside, where `read_metadata` finds it. Raises
        `RunError` for a network that the format cannot express.
        """

    @abstractmethod
    def read_metadata(self, path: Path) -> dict[str, str]:
        """What `write` wrote beside the network; empty for files of others."""

    def files(self, path: Path) -> list[Path]:
        """All files of the artifact at ``path``."""
        return [path]

    def size_bytes(self, path: Path) -> int:
        """Bytes of all files of an artifact."""
        return sum(file.stat().st_size for file in self.files(path))

    def layer_outputs(
        self, path: Path, layers: Sequence[str], images: Float32Array
    ) -> dict[str, Float32Array]:
        """What layers compute for some images, by name; those that the artifact does not name lack.

        By default none; a format that has some says so by ``names_layers``.
        """
        return {}


def entries(text: str) -> dict[str, str]:
    """Metadata that were written as JSON."""
    return {str(name): str(value) for name, value in json.loads(text).items()}
