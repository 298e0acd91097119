"""A compressed network as a folder. No pickle anywhere.

``network.json`` describes it, ``policy.json`` holds its policy, ``model.safetensors`` its tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor import models
from sartor.compression._stored_network import (
    DESCRIPTION,
    POLICY,
    SCHEMA,
    TENSORS,
    Origin,
    StoredNetwork,
    describe_inputs,
    read_tensors,
)
from sartor.compression.quantizing import REDUCED, Scheme
from sartor.compression.slicing import widen
from sartor.errors import RunError
from sartor.graph import Network, trace
from sartor.machine import BoolArray, digest, write_atomically, write_text
from sartor.policy import Policy


def save_network(
    folder: Path,
    network: Network,
    candidate: fx.GraphModule,
    policy: Policy,
    *,
    kept: BoolArray,
    origin: Origin,
    scheme: Scheme = REDUCED,
) -> None:
    """Write a candidate; each file appears whole or not at all.

    ``kept`` has one flag per unit of ``network``; ``scheme`` is how the candidate rounds, where
    the policy has bits.
    """
    groups = {}
    for group in network.groups:
        staying = np.flatnonzero(kept[group.units])
        groups[group.name] = {"size": group.size, "kept": staying.tolist()}

    description = {
        "schema": SCHEMA,
        "origin": asdict(origin),
        **describe_inputs(network),
        "scheme": asdict(scheme),
        "groups": groups,
    }
    text = json.dumps(description, indent=1)

    _remove_tensors(folder)
    write_text(folder / DESCRIPTION, text)
    write_text(folder / POLICY, policy.to_json() + "\n")
    _save_tensors(folder, candidate)


def save_trained_network(folder: Path, source: Path, candidate: fx.GraphModule) -> None:
    """Write a candidate of the folder ``source``, trained since, to a folder of its own."""
    _copy_description(folder, source)
    _save_tensors(folder, candidate)


def copy_network(folder: Path, source: Path) -> None:
    """Write what the folder ``source`` holds to another."""
    _copy_description(folder, source)
    tensors = (source / TENSORS).read_bytes()
    write_atomically(folder / TENSORS, lambda temporary: temporary.write_bytes(tensors))


def holds_network(folder: Path) -> bool:
    """Whether a folder holds all of what `save_network` writes; its tensors come last."""
    return (folder / TENSORS).exists()


def load_network(folder: str | Path, model: nn.Module | None = None) -> fx.GraphModule:
    """The network of a folder that `save_network` wrote, in evaluation mode.

    ``model`` is the original network (its weights do not matter); it can be left out for networks
    that sartor or timm build by name. Code that the folder names is not run.

    Raises `RunError`, `PolicyError` or `WeightsError` if the folder is incomplete or does not
    belong to the network.
    """
    return StoredNetwork.read(Path(folder)).load(model)


#: What `sartor.load` is.
load = load_network


def load_full_width(folder: Path, model: nn.Module) -> dict[str, Tensor]:
    """Weights with which the original ``model`` computes what the network of a folder does.

    Named and shaped as those of ``model``; what was pruned is zero. Raises `RunError` if the
    network is quantized, so that its batch norms are folded, if the original computes a weight
    from others (weight norm), or if layers that share their weights were trained apart.
    """
    stored = StoredNetwork.read(folder)
    if stored.policy.quantized:
        raise RunError(
            f"{folder} holds a quantized network; its weights have no place in the original"
        )

    network = trace(model, stored.examples)
    candidate = stored.load(model)
    kept = stored.kept(network)
    wide = widen(network, candidate, kept)

    # The variables themselves: only by them it is seen which names stand for one tensor.
    state = model.state_dict(keep_vars=True)
    _require_places(folder, network, set(state))
    traced_name = _traced_names(state, wide)

    full = {}
    for name, tensor in state.items():
        known = traced_name.get(id(tensor))
        full[name] = tensor.detach() if known is None else wide[known]

    return full


def tensor_identity(tensors: Mapping[str, Tensor]) -> str:
    """A number that tells a network by its tensors from every other."""
    by_name = sorted(tensors.items())
    return digest(dict(by_name))


def network_identity(folder: Path) -> str:
    """`tensor_identity` of the network of a folder. Raises `RunError` if there is none."""
    return tensor_identity(read_tensors(folder))


def _require_places(folder: Path, network: Network, names: set[str]) -> None:
    """Raise `RunError` if the original has no parameter for a weight of its trace."""
    for layer in network.layers:
        if f"{layer.name}.weight" not in names:
            raise RunError(
                f"{folder} cannot be widened: the original has no weight of its own for layer "
                f"{layer.name}; remove the parametrization or the wrapper around it first"
            )


def _traced_names(state: Mapping[str, Tensor], wide: Mapping[str, Tensor]) -> dict[int, str]:
    """Of each tensor of the original, by its id, the name that the trace has for it.

    Raises `RunError` if one tensor has two names with different values.
    """
    found: dict[int, str] = {}
    for name, tensor in state.items():
        if name not in wide:
            continue

        first = found.setdefault(id(tensor), name)
        if not torch.equal(wide[first], wide[name]):
            raise RunError(
                f"{name} and {first} share their weights in the original, but were trained apart"
            )

    return found


def _copy_description(folder: Path, source: Path) -> None:
    """All but the tensors."""
    _remove_tensors(folder)
    for name in (DESCRIPTION, POLICY):
        text = (source / name).read_text(encoding="utf-8")
        write_text(folder / name, text)


def _remove_tensors(folder: Path) -> None:
    """Those of an earlier save would not belong to the description that is written now."""
    (folder / TENSORS).unlink(missing_ok=True)


def _save_tensors(folder: Path, candidate: fx.GraphModule) -> None:
    models.save_weights(folder / TENSORS, candidate.state_dict())
