"""Networks that nobody here wrote: which are traced, how far they can be pruned, and is it right?

python bench/networks.py FOLDER [--only WORD …] [--seconds 600]    # runs, then prints the table
python bench/networks.py FOLDER --table                            # prints what there is

Each network runs in a process of its own and leaves one JSON file: what was interrupted goes on.
Needs torchvision, timm, transformers and ultralytics; families whose library is missing fail.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from _common import print_header, print_row
from _foreign import make, names
from sartor.compression import (
    CompressOptions,
    Compressor,
    Origin,
    keep_safe_groups,
    load_network,
    mask,
    narrow,
    save_network,
)
from sartor.cost import CostModel
from sartor.errors import SartorError
from sartor.graph import Network, tensors_in, trace
from sartor.machine import BoolArray, write_text
from sartor.policy import Policy

SEEDS = 3
POLICIES = 20
#: Columns of the table, and what of a network's record stands there.
COLUMNS = {
    "network": "network",
    "groups": "groups",
    "MACs known": "known",
    "least MACs": "least",
    "sliced – masked": "wrong",
    "crashes of 20": "crashes",
    "reloaded": "reloaded",
    "ONNX": "onnx",
    "seconds": "seconds",
    "MB": "megabytes",
    "what was said": "said",
}


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--one", help="a single network, in this process")
    parser.add_argument("--onnx", action="store_true", help="export each of them, too")
    given = parser.parse_args()

    if given.one:
        record = _record(given.one, onnx=given.onnx)
        write_text(_path(given.folder, given.one), json.dumps(record, indent=1))
        return

    chosen = [name for name in names() if _is_chosen(name, given.only)]
    if not given.table:
        for name in chosen:
            _run(given, name)
    _print(given.folder, chosen)


def _is_chosen(name: str, words: list[str]) -> bool:
    return not words or any(word in name for word in words)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(':', '-')}.json"


def _run(given: argparse.Namespace, name: str) -> None:
    """One network in a process of its own, unless its record is there."""
    path = _path(given.folder, name)
    if path.exists():
        return

    given.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(given.folder), "--one", name]
    if given.onnx:
        command.append("--onnx")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=given.seconds
        )
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    except subprocess.TimeoutExpired:
        said = [f"takes longer than {given.seconds} s"]

    if not path.exists():
        write_text(path, json.dumps({"network": name, "said": f"crashed: {said[0]}"}))
    print(_path(given.folder, name).read_text(encoding="utf-8"), flush=True)


def _record(name: str, *, onnx: bool) -> dict[str, Any]:
    """All that is found out of one network."""
    torch.set_num_threads(1)
    record: dict[str, Any] = {"network": name}
    model, inputs = make(name)
    before = _peak()
    start = time.process_time()
    try:
        network = keep_safe_groups(trace(model, inputs))
    except SartorError as error:
        record["said"] = str(error)
        return record
    finally:
        record["seconds"] = round(time.process_time() - start, 1)
        record["megabytes"] = round((_peak() - before) / 1e6)

    record["groups"] = len(network.groups)
    record["said"] = _what_is_kept(network)
    record |= _depth(network, inputs)
    record |= _guarded("wrong", lambda: _largest_difference(network, inputs))
    record["crashes"] = _crashes(network)
    record |= _guarded("reloaded", lambda: _reloaded(network, name, inputs))
    if onnx:
        record |= _guarded("onnx", lambda: _onnx_difference(network, inputs))
    return record


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _guarded(key: str, check: Callable[[], Any]) -> dict[str, Any]:
    """A check, or what it raised: the others go on."""
    try:
        return {key: check()}
    except Exception as error:  # that is what is to be found out
        first = (str(error).strip().splitlines() or [""])[0]
        return {key: f"{type(error).__name__}: {first[:200]}"}


def _what_is_kept(network: Network) -> str:
    """The reasons for which most channels are kept whole, and what is not counted."""
    reasons: dict[str, int] = {}
    for item in network.kept_whole:
        reasons[item.reason] = reasons.get(item.reason, 0) + item.channels
    most = sorted(reasons, key=lambda reason: -reasons[reason])[:4]
    said = [f"{reasons[reason]} {reason}" for reason in most]
    if network.unknown_operators:
        said.append("not counted: " + ", ".join(network.unknown_operators[:4]))
    return "; ".join(said)


def _depth(network: Network, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    """Share of the true MACs that is counted, and that is left with one unit of every group."""
    kept = np.ones(network.units, dtype=np.bool_)
    for group in network.groups:
        kept[group.units[1:]] = False
    whole = _true_macs(network.module, inputs)
    least = _true_macs(narrow(network, kept), inputs)
    counted = CostModel(network).original.macs
    return {
        "macs": whole,
        "known": round(counted / whole, 3),
        "least": round(least / whole, 3),
    }


@torch.no_grad()
def _true_macs(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    counter = FlopCounterMode(display=False)
    # Fused kernels are not counted.
    torch.backends.mha.set_fastpath_enabled(False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        module(*inputs)
    return max(1, counter.get_total_flops() // 2)


@torch.no_grad()
def _largest_difference(network: Network, inputs: tuple[Tensor, ...]) -> float:
    """Largest relative difference of random policies, sliced and masked, at two batch sizes."""
    largest = 0.0
    for seed in range(SEEDS):
        kept = _random_kept(network, np.random.default_rng(seed))
        narrower = narrow(network, kept)
        masked = mask(network, kept)
        for batch in (1, 2):
            examples = tuple(torch.cat([item] * batch) for item in inputs)
            largest = max(largest, _difference(narrower(*examples), masked(*examples)))
    return float(f"{largest:.1e}")


def _difference(actual: Any, expected: Any) -> float:
    pairs = zip(tensors_in(actual), tensors_in(expected), strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-6)) for a, b in pairs)


def _random_candidate(network: Network) -> tuple[fx.GraphModule, Policy, BoolArray]:
    compressor = Compressor(network, None, CompressOptions())
    rng = np.random.default_rng(0)
    policy = Policy(channels={group.name: float(rng.uniform(0.2, 1)) for group in network.groups})
    return compressor.candidate(policy), policy, compressor.kept(policy)


@torch.no_grad()
def _reloaded(network: Network, name: str, inputs: tuple[Tensor, ...]) -> bool:
    """Whether what was saved gives the same outputs with the architecture of other weights."""
    candidate, policy, kept = _random_candidate(network)
    with tempfile.TemporaryDirectory() as folder:
        save_network(Path(folder), network, candidate, policy, kept=kept, origin=Origin())
        again = load_network(folder, make(name, seed=1)[0])
    return _difference(again(*inputs), candidate(*inputs)) == 0


@torch.no_grad()
def _onnx_difference(network: Network, inputs: tuple[Tensor, ...]) -> float:
    import onnxruntime

    from sartor.export import export

    candidate, _, _ = _random_candidate(network)
    with tempfile.TemporaryDirectory() as folder:
        path = export(candidate, inputs, Path(folder) / "model.onnx", "onnx")
        session = onnxruntime.InferenceSession(str(path))
        given = zip(session.get_inputs(), inputs, strict=True)
        outputs = session.run(None, {item.name: tensor.numpy() for item, tensor in given})
    pairs = [torch.from_numpy(output) for output in outputs]
    return float(f"{_difference(pairs, tensors_in(candidate(*inputs))):.1e}")


def _crashes(network: Network) -> int:
    """How many of twenty random policies make a network that cannot be built."""
    crashes = 0
    for seed in range(POLICIES):
        rng = np.random.default_rng(100 + seed)
        try:
            narrower = narrow(network, _random_kept(network, rng))
            with torch.no_grad():
                narrower(*network.example_inputs)
        except Exception:  # that is what is to be found out
            crashes += 1
    return crashes


def _random_kept(network: Network, rng: np.random.Generator) -> BoolArray:
    """One flag per unit; any number of each group, and at least one."""
    kept = np.ones(network.units, dtype=np.bool_)
    for group in network.groups:
        count = int(rng.integers(1, group.size + 1))
        kept[rng.permutation(group.units)[count:]] = False
    return kept


def _print(folder: Path, chosen: list[str]) -> None:
    print_header(*COLUMNS)
    records = [_read(folder, name) for name in chosen if _path(folder, name).exists()]
    for record in records:
        print_row(*(record.get(key, "") for key in COLUMNS.values()))

    traced = [record for record in records if "groups" in record]
    deep = [record for record in traced if record["least"] <= 0.15]
    some = [record for record in traced if record["least"] <= 0.7]
    print(
        f"\n{len(records)} networks: {len(traced)} traced, {len(some)} reach at most 0.7 of "
        f"their MACs, {len(deep)} at most 0.15"
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_path(folder, name).read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
