"""A run on a folder of photos is killed with -9 in every phase, and ends as if it had not been.

    python bench/kills.py --out runs/kills

Photos of ImageNet become a folder of JPEGs; EfficientNet-Lite0 is searched at 224 pixels and
fine-tuned, once without interruption and once with a kill in each phase.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import tyro

from _common import SHARED, print_header, print_row, write_photos

_CLASSES = 1000
#: Of each split.
_PHOTOS = 60


@dataclass(frozen=True)
class Phase:
    """Where a run is killed: so many seconds after it has written a line that begins like this."""

    name: str
    line: str
    delay: float


_SEARCHING = (
    Phase("decoding", "preparing", 1.0),
    Phase("refitting", "original:", 5.0),
    Phase("searching", "searching ", 3.0),
    Phase("judging", "judging ", 1.0),
)
_TUNING = (Phase("fine-tuning", "epoch 1/", 3.0),)


@dataclass(frozen=True)
class Kills:
    """Every phase, then whether both runs are the same.

    Attributes:
        out: Folder of the photos and the runs.
        shared: Folder of the network and the photos.
    """

    out: Path = Path("runs/kills")
    shared: Path = SHARED

    def run(self) -> None:
        """Kill, resume, compare, print."""
        for split in ("train", "validation", "test"):
            rows = self.shared / f"data/imagenet1000/{split}.parquet"
            _write_jpegs(rows, self.out / "photos" / split)

        whole = self.out / "whole"
        _finish(self._search(whole))
        _finish(self._finetune(whole))

        killed = self.out / "killed"
        print_header("killed while", "what it had written last")
        search = self._search(killed)
        self._kill(killed, search, [*_SARTOR, "search", "--resume", str(killed)], _SEARCHING)
        finetune = self._finetune(killed)
        self._kill(killed / "finetuned", finetune, [*finetune, "--resume"], _TUNING)

        for name in ("policy.json", "model.safetensors", "finetuned/model.safetensors"):
            is_same = (whole / name).read_bytes() == (killed / name).read_bytes()
            print(f"{name}: {'the same' if is_same else 'DIFFERENT'}")

    def _kill(
        self, folder: Path, command: list[str], resuming: list[str], phases: Sequence[Phase]
    ) -> None:
        """Start a command, kill it in one phase after the other, and let it end at last."""
        for phase in phases:
            print_row(phase.name, _killed(command, phase))
            # Where nothing is written yet, there is nothing to go on with.
            if folder.exists() and any(folder.iterdir()):
                command = resuming
        _finish(command)

    def _search(self, out: Path) -> list[str]:
        weights = self.shared / "models/efficientnet_lite0-imagenet.safetensors"
        options = {
            "--model": "efficientnet_lite0",
            "--weights": weights,
            "--data": self.out / "photos",
            "--resize": 256,
            "--crop": 224,
            "--interpolation": "bicubic",
            "--budget": "macs<=70%",
            "--episodes": 12,
            "--finalists": 2,
            "--images": 48,
            "--final-images": 96,
            "--threads": 1,
            "--out": out,
        }
        words = [str(word) for option in options.items() for word in option]
        return [*_SARTOR, "search", *words, "--no-timed"]

    def _finetune(self, run: Path) -> list[str]:
        options = ["--epochs", "3", "--batch", "8", "--threads", "1"]
        return [*_SARTOR, "finetune", str(run), *options]


_SARTOR = (sys.executable, "-m", "sartor")


def _killed(command: Sequence[str], phase: Phase) -> str:
    """Start a command and kill it in a phase; the last line that it wrote."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        last = ""
        timer = None
        for line in process.stdout:
            last = line.strip()
            if timer is None and last.startswith(phase.line):
                # What it writes meanwhile is read on, for a full pipe would hold it up.
                timer = threading.Timer(phase.delay, process.kill)
                timer.start()
        process.wait()
    if process.returncode >= 0:
        raise SystemExit(f"it ended before it could be killed while {phase.name}: {last}")
    return last


def _finish(command: Sequence[str]) -> None:
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    print(f"to the end: {time.perf_counter() - started:.0f} s")


def _write_jpegs(rows: Path, folder: Path) -> None:
    """The first photos of a Parquet file, one folder a class, as they are encoded."""
    # All classes in every split, for they are counted by their folders.
    for number in range(_CLASSES):
        (folder / f"{number:04}").mkdir(parents=True, exist_ok=True)
    write_photos(folder, pq.read_table(rows).slice(0, _PHOTOS), "image", ".jpg")


if __name__ == "__main__":
    tyro.cli(Kills).run()
