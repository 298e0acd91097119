"""Peers, each in an environment of its own, which is made from PyPI once.

No command of its own: peers.py imports it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sartor
from _peer_job import Job
from sartor.machine import write_text

HERE = Path(__file__).parent
#: The torch that sartor is tested with, for the peers too.
CONSTRAINTS = HERE.parent / "constraints.txt"
#: What building sartor's networks needs.
NETWORKS = ("torch", "numpy", "safetensors", "lazy-loader")


class RefusedError(Exception):
    """A peer did not do what it was asked for; the text is the last that it said."""


@dataclass(frozen=True)
class Peer:
    """A peer.

    Attributes:
        package: Its name on PyPI.
        worker: The file that it is used by.
        others: What its environment has beside it.
        lacks: What it cannot do, as tried or read in its source.
    """

    package: str
    worker: str
    lacks: str
    others: tuple[str, ...] = field(default=NETWORKS)

    def ask(self, job: Job, environments: Path, threads: int) -> dict[str, Any]:
        """Its answer. Raises `RefusedError` if there is none."""
        python = self._python(environments)
        source = Path(sartor.__file__).parents[1]
        path = job.write()
        done = subprocess.run(
            [str(python), "-W", "ignore", str(HERE / self.worker), str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)},
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1]
            raise RefusedError(last)
        answer: dict[str, Any] = json.loads(job.answer_file.read_text(encoding="utf-8"))
        return answer

    def _python(self, environments: Path) -> Path:
        """Of its environment, which is made if it is not there whole."""
        folder = environments.absolute() / self.package
        python = folder / "bin/python"
        wanted = "\n".join((self.package, *self.others))
        made = folder / "packages.txt"
        if not made.exists() or made.read_text(encoding="utf-8") != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
            subprocess.run([*install, self.package, *self.others], check=True)
            write_text(made, wanted)
        return python


TORCH_PRUNING = Peer(
    "torch-pruning",
    "_peer_torch_pruning.py",
    "Searches no widths: one ratio, or one ranking of all channels. Takes no budget: steps until "
    "the MACs fit, latency not at all. No bits, no refit, no repair. Taylor's score needs labels. "
    "Shortcuts that are padded with zeros are taken for others, silently (removing a channel that "
    "was zero moves outputs by 79 %), so that channels that meet there are all kept here.",
)
FASTNAS = Peer(
    "nvidia-modelopt",
    "_peer_modelopt.py",
    "Budgets are FLOPs and parameters, latency is none. No bits in the same search. Needs labels "
    "or a score of your own. Refuses ResNet-20 at half with its default multiples of 32. Its wheel "
    "does not import without two packages that it does not ask for, and counts FLOPs only by an "
    "old torchprofile.",
    # what it imports, but does not ask for
    others=(*NETWORKS, "requests", "huggingface-hub", "torchprofile<0.1"),
)
NNCF = Peer(
    "nncf",
    "_peer_nncf.py",
    "Removes no channels (left are masks of single weights). Chooses no widths and no bits.",
    others=("onnx<1.21", "onnxruntime", "safetensors"),
)
ONNXRUNTIME = Peer(
    "onnxruntime",
    "_peer_onnxruntime.py",
    "Prunes nothing, chooses no bits, does not look at accuracy.",
    others=("onnx<1.21", "sympy", "safetensors"),
)
PEERS = (TORCH_PRUNING, FASTNAS, NNCF, ONNXRUNTIME)
