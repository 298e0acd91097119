"""One network for each task, from the search to the verified ONNX file: what its metric becomes.

    python bench/tasks.py [TASK ...] [--steps N] [--episodes N] [--epochs N] [--budget macs<=40%]

Networks are small and trained here, on scenes of scikit-learn's digits (tests/scenes.py); but for
minilm, a sentence encoder, whose folder is given with --minilm.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sartor
from _minilm import MiniLM, sentences
from sartor.finetune import FinetuneOptions
from sartor.tasks import as_task

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import scenes  # type: ignore[import-not-found]

_ROW = "{:13} {:9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8}"
_HEADINGS = ("task", "metric", "original", "uniform", "found", "tuned", "verified", "size", "s")


def _case(name: str, asked: argparse.Namespace) -> Any:
    if name != "minilm":
        return scenes.CASES[name](asked.steps)
    network = MiniLM.load(asked.minilm)
    return scenes.Case(as_task("embedding"), network, sentences(asked.minilm, 128))


def _journey(name: str, asked: argparse.Namespace, folder: Path) -> str:
    case = _case(name, asked)
    started = time.perf_counter()
    options = sartor.SearchOptions(
        episodes=asked.episodes, finalists=3, anyway=True, seed=asked.seed
    )
    result = sartor.compress(
        case.network,
        case.data,
        task=case.task,
        budget=asked.budget,
        options=options,
        out=folder,
        progress=False,
    )
    run = sartor.Run(folder, model=case.network, data=case.data, task=case.task)
    tuned = run.finetune(FinetuneOptions(epochs=asked.epochs, batch=64, seed=asked.seed))
    run.export("onnx")
    verified = run.verify("onnx")
    for fault in verified.faults:
        print(f"  {name}: {fault}")

    networks = result.report.networks
    assert tuned.test is not None
    values = [networks[which].test for which in ("original", "uniform", "found")]
    values += [tuned.test.after, verified.found.accuracy]
    percents = [f"{100 * value:.1f} %" for value in values if value is not None]
    size = f"{100 * verified.found.relative_size:.0f} %"
    seconds = f"{time.perf_counter() - started:.0f}"
    return _ROW.format(name, result.report.metric, *percents, size, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [*scenes.CASES, "minilm"]
    parser.add_argument("tasks", nargs="*", choices=[*names, []], metavar="TASK")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2, for task minilm")
    parser.add_argument("--steps", type=int, default=400, help="of training the originals")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--budget", default="macs<=40%")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    print(f"{asked.budget}, {asked.episodes} episodes, {asked.epochs} epochs; on test scenes")
    print(_ROW.format(*_HEADINGS))
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.tasks or scenes.CASES:
            print(_journey(name, asked, Path(scratch) / name), flush=True)


if __name__ == "__main__":
    main()
