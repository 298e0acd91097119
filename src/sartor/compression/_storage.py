"""A pruned network as a folder: ``model.safetensors``, ``policy.json``, ``network.json``. No pickle anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, fx, nn

from sartor import models
from sartor.compression.modules import fold, trainable_copy
from sartor.compression.quantizing import REDUCED, Scheme, quantize
from sartor.compression.slicing import narrow, widen
from sartor.errors import PolicyError, RunError, WeightsError
from sartor.graph import Network, trace
from sartor.machine import BoolArray, digest, read_json, write_atomically, write_text
from sartor.policy import Policy

SCHEMA = 1
_TENSORS = "model.safetensors"


@dataclass(frozen=True)
class Origin:
    """How to rebuild the original network: the name `sartor.models.build` takes, or empty if only the user can."""

    model: str = ""
    classes: int = 0
    pixels: int = 0

    @property
    def known(self) -> bool:
        """Whether its name is enough to build it again without running anybody else's code."""
        return bool(self.model) and (
            ":" not in self.model or self.model.startswith(("timm:", "sartor.demo:"))
        )


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """What the folder of a compressed network holds beside its tensors, each file read once.

    Attributes:
        folder: Where it lies.
        policy: By which it was made.
        origin: How the original network can be built by name.
        inputs: Zeros in the shapes that the original reads, with a batch of one.
        scheme: How it rounds, where the policy has bits.
        groups: By name, how many units each group has, and which of them were kept.
    """

    folder: Path
    policy: Policy
    origin: Origin
    inputs: tuple[Tensor, ...]
    scheme: Scheme
    groups: dict[str, tuple[int, list[int]]]

    @classmethod
    def read(cls, folder: Path) -> StoredNetwork:
        """What `save_network` wrote.

        Raises `RunError` if there is none, or it is of another version, `PolicyError` if the
        policy cannot be read.
        """
        parts = _read_description(folder)
        return cls(folder=folder, policy=read_policy(folder), **parts)

    def load(self, model: nn.Module | None = None) -> fx.GraphModule:
        """The network, as `load_network` gives it."""
        network = trace(self._original() if model is None else model, self.inputs)
        candidate = narrow(network, self.kept(network))
        if self.policy.quantized:
            candidate = quantize(fold(candidate), self.policy, None, self.scheme)
        candidate = trainable_copy(candidate)
        tensors = _read_tensors(self.folder)
        try:
            candidate.load_state_dict(tensors)
        except RuntimeError as error:
            path = self.folder / _TENSORS
            raise WeightsError(f"{path} does not fit the network: {error}") from error
        return candidate

    def kept(self, network: Network) -> BoolArray:
        """One flag per unit of the original; groups that are not stored were kept whole."""
        kept = np.ones(network.units, dtype=np.bool_)
        sizes = {group.name: group.size for group in network.groups}
        for name, (size, stay) in self.groups.items():
            if sizes.get(name) != size:
                raise PolicyError(
                    f"{self.folder} was made from another network: group {name!r} has {size} "
                    f"units there, {sizes.get(name)} here"
                )
            units = network.group_by_name[name].units
            kept[units] = False
            kept[units[stay]] = True
        return kept

    def _original(self) -> nn.Module:
        """The original with fresh weights, where its name is enough to build it."""
        origin = self.origin
        if not origin.known:
            which = f", {origin.model}" if origin.model else ""
            raise RunError(
                f"{self.folder} was made from a network of yours{which}; give it as the second "
                "argument: sartor.load(folder, model)"
            )
        return models.build(origin.model, classes=origin.classes, pixels=origin.pixels)


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
    """Write a candidate; each file appears whole or not at all. ``scheme`` is how it rounds, where the policy has bits."""
    layout = {
        "schema": SCHEMA,
        "origin": asdict(origin),
        "inputs": [list(item.shape) for item in network.example_inputs],
        "scheme": asdict(scheme),
        "groups": {
            g.name: {"size": g.size, "kept": np.flatnonzero(kept[g.units]).tolist()}
            for g in network.groups
        },
    }
    (folder / _TENSORS).unlink(
        missing_ok=True
    )  # of an earlier save: they would not belong to what is written now
    write_text(folder / "network.json", json.dumps(layout, indent=1))
    write_text(folder / "policy.json", policy.to_json() + "\n")
    _save_tensors(folder, candidate)


def load_network(folder: str | Path, model: nn.Module | None = None) -> fx.GraphModule:
    """The network of a folder that `save_network` wrote, in evaluation mode.

    ``model`` is the original network (its weights do not matter); it can be left out for networks that sartor or timm build by
    name. Code that the folder names is not run.

    Raises `RunError`, `PolicyError` or `WeightsError` if the folder is incomplete or does not belong to the network.
    """
    return StoredNetwork.read(Path(folder)).load(model)


#: What `sartor.load` is.
load = load_network


def load_full_width(folder: Path, model: nn.Module) -> dict[str, Tensor]:
    """Weights of the original network ``model`` with which it computes what the network of a folder does; pruned is zero.

    Raises `RunError` if that network is quantized, so that its batch norms are folded, or if layers that share their weights in
    the original were trained apart.
    """
    stored = StoredNetwork.read(folder)
    if stored.policy.quantized:
        raise RunError(
            f"{folder} holds a quantized network; its weights have no place in the original"
        )
    network = trace(model, stored.inputs)
    wide = widen(network, stored.load(model), stored.kept(network))
    everything = model.state_dict(keep_vars=True)
    found: dict[int, str] = {}  # of a tensor with several names, those of the trace
    for name, tensor in everything.items():
        if name in wide and not torch.equal(wide[found.setdefault(id(tensor), name)], wide[name]):
            raise RunError(
                f"{name} and {found[id(tensor)]} share their weights in the original, but were trained apart"
            )
    names = {name: found.get(id(tensor)) for name, tensor in everything.items()}
    return {
        name: tensor.detach() if (known := names[name]) is None else wide[known]
        for name, tensor in everything.items()
    }


def save_trained_network(folder: Path, source: Path, candidate: fx.GraphModule) -> None:
    """Write a candidate of the folder ``source``, trained since, to a folder of its own."""
    _copy_description(folder, source)
    _save_tensors(folder, candidate)


def copy_network(folder: Path, source: Path) -> None:
    """Write what the folder ``source`` holds to another."""
    _copy_description(folder, source)
    write_atomically(
        folder / _TENSORS, lambda temporary: temporary.write_bytes((source / _TENSORS).read_bytes())
    )


def _copy_description(folder: Path, source: Path) -> None:
    """All but the tensors; those of an earlier save go, because they would not belong to it."""
    (folder / _TENSORS).unlink(missing_ok=True)
    for name in ("network.json", "policy.json"):
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))


def holds_network(folder: Path) -> bool:
    """Whether a folder holds all of what `save_network` writes; its tensors come last."""
    return (folder / _TENSORS).exists()


def tensor_identity(tensors: Mapping[str, Tensor]) -> str:
    """A number that tells a network by its tensors from every other."""
    return digest(dict(sorted(tensors.items())))


def network_identity(folder: Path) -> str:
    """`tensor_identity` of the network of a folder that `save_network` wrote. Raises `RunError` if there is none."""
    return tensor_identity(_read_tensors(folder))


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / _TENSORS
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except SafetensorError as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error


def _save_tensors(folder: Path, candidate: fx.GraphModule) -> None:
    models.save_weights(folder / _TENSORS, candidate.state_dict())


def read_policy(folder: Path) -> Policy:
    """The policy of a folder that `save_network` wrote. Raises `RunError` if there is none, `PolicyError` if it cannot be read."""
    path = folder / "policy.json"
    try:
        return Policy.from_json(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is missing; it is written by a finished search") from None


def _read_description(folder: Path) -> dict[str, Any]:
    """What ``network.json`` holds."""
    path = folder / "network.json"
    content = read_json(
        path, missing=f"{path} does not exist; it is written by a finished search", error=RunError
    )
    if content.get("schema") != SCHEMA:
        raise RunError(f"{path} is not a network of schema {SCHEMA}")
    found = {}
    for key, parse in _PARTS.items():
        try:
            found[key] = parse(content[key])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: {key} cannot be read: {error!r}") from error
    return found


def _build(kind: Any, content: dict[str, Any]) -> Any:
    """A dataclass of plain values. Raises `TypeError` for one of another type."""
    hints = get_type_hints(kind)
    for name, value in content.items():
        if type(value) is not hints.get(name):
            raise TypeError(f"{name} is {value!r}")
    return kind(**content)


def _group(size: int, kept: list[int]) -> tuple[int, list[int]]:
    return size, [range(size).index(unit) for unit in kept]


_PARTS: dict[str, Callable[[Any], Any]] = {
    "origin": partial(_build, Origin),
    "inputs": lambda shapes: tuple(torch.zeros(shape) for shape in shapes),
    "scheme": partial(_build, Scheme),
    "groups": lambda groups: {name: _group(**entry) for name, entry in groups.items()},
}
