"""Prunes by Torch-Pruning, as its authors' script for CIFAR-10 does, but for sparse learning.

A worker: peers.py runs it in an environment that has torch-pruning. Channels go step by step until
the MACs fit (their `progressive_pruning`); scores are theirs by name. Taylor's needs labels: one
gradient of the loss on all calibration images, as in their examples.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from _peer_job import Job, macs

#: Pruner and score by the name of the method.
METHODS: dict[str, tuple[Any, Any]] = {
    "magnitude": (tp.pruner.MagnitudePruner, tp.importance.MagnitudeImportance(p=1)),
    "taylor": (tp.pruner.MagnitudePruner, tp.importance.TaylorImportance()),
    "group norm": (tp.pruner.GroupNormPruner, tp.importance.GroupMagnitudeImportance(p=2)),
}
#: Steps from all channels to none, as in their script.
STEPS = 400
BATCH = 256


def main() -> None:
    """Prune and hand over."""
    job = Job.read()
    score, reach = job.method.split(", ")
    network = job.network
    tensors = job.tensors()
    started = time.perf_counter()
    if score == "taylor":
        add_gradients(network, tensors["calibration"], tensors["calibration_labels"])
    pruner_class, importance = METHODS[score]
    image = tensors["calibration"][:1]
    pruner = pruner_class(
        network,
        image,
        importance=importance,
        global_pruning=reach == "global",
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[network.get_submodule(name) for name in job.whole],
    )
    kept = prune(network, pruner, image, job.share)
    seconds = time.perf_counter() - started
    narrower = {name: channels for name, channels in kept.items() if name not in job.whole}
    job.answer_pruned("torch-pruning", seconds, network, narrower)


def add_gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Of the mean loss, in evaluation mode."""
    for part, right in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        loss = F.cross_entropy(network(part), right, reduction="sum") / len(images)
        loss.backward()


def prune(
    network: nn.Module, pruner: Any, image: torch.Tensor, share: float
) -> dict[str, list[int]]:
    """Take steps until the MACs fit; which of its channels each convolution still has."""
    names = {module: name for name, module in network.named_modules()}
    convolutions = [module for module in names if isinstance(module, nn.Conv2d)]
    kept = {names[module]: np.arange(module.out_channels) for module in convolutions}
    allowed = share * macs(network, image)
    for _ in range(STEPS):
        if macs(network, image) <= allowed:
            break
        for group in pruner.step(interactive=True):
            name = names[group[0].dep.target.module]
            kept[name] = np.delete(kept[name], group[0].idxs)
            group.prune()
    return {name: channels.tolist() for name, channels in kept.items()}


if __name__ == "__main__":
    main()
