"""The proof that slicing is right on this very network, before anything is searched."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from sartor.compression.slicing._slice import mask, narrow
from sartor.graph import Group, KeptWhole, Network, differ
from sartor.machine import BoolArray

#: Largest difference between sliced and masked network, relative to the largest output.
TOLERANCE = 1e-4


def keep_safe_groups(network: Network) -> Network:
    """The network without those groups whose removal changes its function in an unforeseen way, or makes it fail.

    Prunes all groups at random and compares the sliced network with the masked one; only if they differ, every group is
    tried alone and the culprits are listed in ``kept_whole``.
    """
    rng = np.random.default_rng(0)
    if not network.groups or _problem(network, _random_kept(network, network.groups, rng)) is None:
        return network
    safe, culprits = [], []
    for group in network.groups:
        problem = _problem(network, _random_kept(network, (group,), rng))
        if problem is None:
            safe.append(group)
        else:
            culprits.append(
                KeptWhole(group.producers[0], group.size, f"fails the slicing check: {problem}")
            )
    if _problem(network, _random_kept(network, tuple(safe), rng)) is not None:
        culprits += [
            KeptWhole(
                group.producers[0], group.size, "fails the slicing check together with others"
            )
            for group in safe
        ]
        safe = []
    return dataclasses.replace(
        network, groups=tuple(safe), kept_whole=(*network.kept_whole, *culprits)
    )


def _random_kept(
    network: Network, groups: tuple[Group, ...], rng: np.random.Generator
) -> BoolArray:
    kept = np.ones(network.units, dtype=np.bool_)
    for group in groups:
        kept[rng.permutation(group.units)[max(1, group.size // 2) :]] = False
    return kept


@torch.no_grad()
def _problem(network: Network, kept: BoolArray) -> str | None:
    expected = mask(network, kept)(*network.example_inputs)
    try:
        actual = narrow(network, kept)(*network.example_inputs)
    except Exception as error:  # whatever the user's own forward pass raises
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "the output changes" if differ(actual, expected, TOLERANCE) else None
