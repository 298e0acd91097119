"""The proof that slicing is right on this very network, before anything is searched."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sartor.compression.slicing._narrow import narrow
from sartor.compression.slicing._widen import mask
from sartor.graph import Group, KeptWhole, Network, differ, random_like, tensors_in
from sartor.machine import BoolArray

#: Largest difference between sliced and masked network, relative to the largest output.
TOLERANCE = 1e-4

Inputs = tuple[Tensor, ...]


def keep_safe_groups(network: Network) -> Network:
    """The network without those groups whose removal changes its function, or makes it fail.

    Prunes all groups at random, each by another share, and compares the sliced network with the
    masked one, on the example inputs and on random ones; only if they differ, every group is
    tried alone and the culprits are listed in ``kept_whole``.
    """
    if not network.groups:
        return network

    random = _random_like(network.example_inputs)
    inputs = [network.example_inputs, random]
    rng = np.random.default_rng(0)
    if _problem(network, network.groups, inputs, rng) is None:
        return network

    safe: list[Group] = []
    culprits: list[KeptWhole] = []
    for group in network.groups:
        problem = _problem(network, (group,), inputs, rng)
        if problem is None:
            safe.append(group)
            continue

        culprit = _kept_whole(group, f"fails the slicing check: {problem}")
        culprits.append(culprit)

    # Each alone may be right, and several still wrong: then none can be trusted.
    together = _problem(network, safe, inputs, rng) if safe else None
    if together is not None:
        reason = f"fails the slicing check together with others: {together}"
        for group in safe:
            culprits.append(_kept_whole(group, reason))
        safe = []

    return dataclasses.replace(
        network,
        groups=tuple(safe),
        kept_whole=(*network.kept_whole, *culprits),
    )


def _problem(
    network: Network, groups: Sequence[Group], inputs: list[Inputs], rng: np.random.Generator
) -> str | None:
    """What goes wrong when groups are pruned; None if nothing does."""
    for draw in _TRIALS:
        counts = draw(groups, rng)
        kept = _random_kept(network, groups, counts, rng)
        for given in inputs:
            problem = _compare(network, kept, given)
            if problem is not None:
                return problem
    return None


def _different_shares(groups: Sequence[Group], rng: np.random.Generator) -> list[int]:
    """Shares from small to large, in random order: what is right for equal widths only fails."""
    order = rng.permutation(len(groups))
    shares = (order + 0.5) / len(groups)

    counts = []
    for share, group in zip(shares, groups, strict=True):
        count = round(share * group.size)
        counts.append(max(1, count))
    return counts


def _one_each(groups: Sequence[Group], _: np.random.Generator) -> list[int]:
    """What needs several units of a group, or one in each of several places, fails."""
    return [1] * len(groups)


#: How many units of each group are kept, one trial after the other.
_TRIALS = (_different_shares, _different_shares, _one_each)


def _random_kept(
    network: Network, groups: Sequence[Group], counts: list[int], rng: np.random.Generator
) -> BoolArray:
    kept = np.ones(network.units, dtype=np.bool_)
    for group, count in zip(groups, counts, strict=True):
        removed = rng.permutation(group.units)[count:]
        kept[removed] = False
    return kept


@torch.no_grad()
def _compare(network: Network, kept: BoolArray, inputs: Inputs) -> str | None:
    """Why the sliced network is not the masked one on these inputs; None if it is."""
    is_given = inputs is network.example_inputs
    try:
        expected = mask(network, kept)(*inputs)
    except Exception as error:  # a user's forward pass may raise anything
        return _first_line(error) if is_given else None

    # Random numbers may be none that the network is made for.
    if not is_given and not _is_finite(expected):
        return None

    try:
        actual = narrow(network, kept)(*inputs)
    except Exception as error:
        return _first_line(error)

    if _differ(actual, expected) and _differ_in_double(network, kept, inputs):
        return "the output changes"
    return None


def _differ(actual: Any, expected: Any) -> bool:
    if _gives_no_numbers_alike(actual, expected):
        actual = _with_zeros(actual)
        expected = _with_zeros(expected)
    return differ(actual, expected, TOLERANCE)


def _differ_in_double(network: Network, kept: BoolArray, inputs: Inputs) -> bool:
    """Whether more than rounding differs, which norms of a few equal numbers make large."""
    doubled = tuple(item.double() if item.is_floating_point() else item for item in inputs)
    try:
        actual, expected = (
            copy.deepcopy(form(network, kept)).double()(*doubled) for form in (narrow, mask)
        )
    except Exception:  # what makes fp32 tensors of its own cannot be told apart from rounding
        return True
    return _differ(actual, expected)


def _gives_no_numbers_alike(actual: Any, expected: Any) -> bool:
    """Whether NaN stands in the same places: a norm of nothing is 0 / 0, sliced or masked."""
    pairs = zip(tensors_in(actual), tensors_in(expected), strict=False)
    return all(
        mine.shape == theirs.shape and bool((mine.isnan() == theirs.isnan()).all())
        for mine, theirs in pairs
    )


def _with_zeros(outputs: Any) -> list[Tensor]:
    """All outputs, 0 where they are NaN."""
    return [torch.where(output.isnan(), 0.0, output) for output in tensors_in(outputs)]


def _is_finite(outputs: Any) -> bool:
    return all(bool(output.isfinite().all()) for output in tensors_in(outputs))


def _first_line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text.splitlines()[0]


def _random_like(inputs: Inputs) -> Inputs:
    """Random numbers in the shapes of inputs; whole ones, which may be indices, of their range."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for item in inputs:
        if item.is_floating_point():
            found.append(torch.randn(item.shape, generator=generator))
        else:
            found.append(random_like(item, generator))
    return tuple(found)


def _kept_whole(group: Group, reason: str) -> KeptWhole:
    return KeptWhole(group.producers[0], group.size, reason)
