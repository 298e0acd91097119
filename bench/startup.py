"""Seconds of CPU until sartor is imported, has printed its help, or has answered a typo.

python bench/startup.py [--before ANOTHER_CHECKOUT] [--rounds 7]

Every number is the median of whole processes, beside those of an empty one and of torch alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import tyro

_HERE = Path(__file__).resolve().parents[1]
_CASES = {
    "nothing": ("-c", "pass"),
    "import torch": ("-c", "import torch"),
    "import sartor": ("-c", "import sartor"),
    "import sartor; sartor.compress": ("-c", "import sartor; sartor.compress"),
    "sartor --help": ("-m", "sartor", "--help"),
    "sartor search --help": ("-m", "sartor", "search", "--help"),
    "sartor search --buget …": ("-m", "sartor", "search", "--buget", "macs<=50%"),
}


@dataclass(frozen=True)
class Startup:
    """Print a table of seconds of CPU.

    Attributes:
        before: Another checkout, measured in turns with this one.
        rounds: Processes of every kind.
    """

    before: Path | None = None
    rounds: int = 7

    def run(self) -> None:
        """Measure and print."""
        trees = [_HERE]
        if self.before is not None:
            trees.insert(0, self.before.resolve())

        seconds: dict[tuple[str, Path], list[float]] = defaultdict(list)
        for _ in range(self.rounds):
            for case, words in _CASES.items():
                for tree in trees:
                    seconds[case, tree].append(_cpu_seconds(words, tree))

        titles = ["now"] if self.before is None else ["before", "now"]
        print(f"| seconds of CPU, median of {self.rounds} | {' | '.join(titles)} |")
        print("|---" * (len(trees) + 1) + "|")
        for case in _CASES:
            medians = [f"{statistics.median(seconds[case, tree]):.2f}" for tree in trees]
            print(f"| `{case}` | {' | '.join(medians)} |")


def _cpu_seconds(words: tuple[str, ...], tree: Path) -> float:
    """User and system time of one process with the source of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    process = subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    tyro.cli(Startup).run()
