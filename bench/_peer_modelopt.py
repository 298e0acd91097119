"""Prunes by NVIDIA ModelOpt's FastNAS.

A worker: peers.py runs it in an environment that has nvidia-modelopt. Candidates are scored by
top-1 on validation images, as in its documentation, and batch norms are estimated from calibration
images. Its widths are multiples of 32 unless told otherwise, too few for this network: here of 4.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import modelopt.torch.prune as mtp
import torch
from torch import Tensor, nn

from _peer_job import Job

MULTIPLE = 4
BATCH = 250


def main() -> None:
    """Prune and hand over."""
    job = Job.read()
    network = job.network
    original = copy.deepcopy(network)
    tensors = job.tensors()
    images = tensors["validation"]
    labels = tensors["validation_labels"]

    rules = mtp.fastnas.FastNASConfig()
    rules["nn.Conv2d"]["*"]["channel_divisor"] = MULTIPLE
    rules["nn.BatchNorm2d"]["*"]["feature_divisor"] = MULTIPLE
    started = time.perf_counter()
    pruned, _ = mtp.prune(
        network,
        mode=[("fastnas", rules)],
        constraints={"flops": f"{100 * job.share:g}%"},
        dummy_input=images[:1],
        config={
            "score_func": lambda candidate: top_1(candidate, images, labels),
            "data_loader": tensors["calibration"].split(BATCH),
            "collect_func": lambda batch: batch,
            "checkpoint": str(Path(job.folder) / "search.pth"),
        },
    )
    seconds = time.perf_counter() - started
    job.answer_pruned("nvidia-modelopt", seconds, pruned.eval(), channels(pruned, original))


@torch.no_grad()
def top_1(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Right answers, in percent."""
    answers = [network(part).argmax(1) for part in images.split(BATCH)]
    right = torch.cat(answers) == labels
    return 100 * float(right.float().mean())


def channels(pruned: nn.Module, original: nn.Module) -> dict[str, list[int]]:
    """Which channels each convolution that became narrower has, in its order.

    FastNAS sorts them; inputs of such a convolution are as they were, so that its filters are found
    among the original's.
    """
    found = {}
    for name, module in pruned.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        before = original.get_parameter(f"{name}.weight")
        if len(module.weight) == len(before):
            continue
        same = (module.weight[:, None] == before[None]).flatten(2).all(2)
        assert bool((same.sum(1) == 1).all()), f"filters of {name} are not the original's"
        found[name] = same.int().argmax(1).tolist()
    return found


if __name__ == "__main__":
    main()
