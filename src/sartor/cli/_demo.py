"""``sartor demo``: a search that needs nothing but this program."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import MissingPackageError, RunError
from sartor.runs import RunConfig

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.runs import Run


@dataclass(frozen=True)
class Demo:
    """Train a small network on digits, compress it to 15 % of its MACs, run it. No download.

    So little is left that the uniform network visibly fails. With onnxruntime installed, what was
    found is exported and verified.

    Attributes:
        out: Folder of the run.
        episodes: Policies scored in all.
        seed: Fixes the training and the search.
    """

    out: Path = Path("runs/demo")
    episodes: int = 60
    seed: int = 0

    def run(self, console: Console) -> None:
        """Train, search, and verify what was found in its runtime."""
        from sartor import demo
        from sartor.cli._search import search
        from sartor.runs import Run

        config = self._config()
        run = Run(self.out)
        if run.exists and run.config != config:
            raise RunError(
                f"--out {self.out} holds a run with other options; "
                "choose another folder, or remove it"
            )
        console.print("training a small network on 1,197 images of digits")
        demo.train(self._weights, seed=self.seed)
        search(config, console, resume=True)
        _verify(Run(self.out), console)

    @property
    def _weights(self) -> Path:
        return self.out / "trained.safetensors"

    def _config(self) -> RunConfig:
        options = RunConfig().options
        compress = dataclasses.replace(options.compress, positions=32)
        options = dataclasses.replace(
            options, episodes=self.episodes, seed=self.seed, compress=compress
        )
        return RunConfig(
            model="sartor.demo:DigitsNet",
            weights=self._weights,
            data="digits",
            budget="macs<=15%",
            out=self.out,
            # Its layers are too small to be shared by cores.
            threads=1,
            options=options,
        )


def _verify(run: Run, console: Console) -> None:
    """Export what was found and run the file, where that is possible."""
    from sartor.runs import verified_words

    try:
        run.export("onnx")
        verified = run.verify("onnx")
    except MissingPackageError as error:
        console.print(f"not exported: {error}")
        return
    console.print(verified_words(verified))
    for fault in verified.faults:
        console.print(f"not as promised: {fault}")
