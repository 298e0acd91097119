"""What the folder of a compressed network holds: description, policy, tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, fx, nn

from sartor import models
from sartor.compression.modules import fold, trainable_copy, untie_different
from sartor.compression.quantizing import Scheme, quantize
from sartor.compression.slicing import narrow
from sartor.errors import PolicyError, RunError, WeightsError
from sartor.graph import Given, Network, trace
from sartor.machine import BoolArray, read_json
from sartor.policy import Policy

SCHEMA = 1
#: Files of a folder; the tensors are written last.
DESCRIPTION = "network.json"
POLICY = "policy.json"
TENSORS = "model.safetensors"

_OUR_CODE = ("timm:", "sartor.demo:")
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Origin:
    """How to rebuild the original network; empty if only the user can.

    >>> Origin("resnet20", classes=10, pixels=32).known
    True
    >>> Origin("mine:build").known
    False

    Attributes:
        model: The name that `sartor.models.build` takes.
        classes: Number of classes.
        pixels: Height and width of its images.
    """

    model: str = ""
    classes: int = 0
    pixels: int = 0

    @property
    def known(self) -> bool:
        """Whether its name is enough to build it, without running code of the user's."""
        if ":" in self.model:
            return self.model.startswith(_OUR_CODE)
        return bool(self.model)


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """What the folder of a compressed network holds beside its tensors, each file read once.

    Attributes:
        folder: Where it lies.
        policy: By which it was made.
        origin: How the original network can be built by name.
        inputs: Of what the original reads, with a batch of one: zeros, or whole numbers from the
            lowest to the highest that it was traced with.
        input_names: Arguments of the forward pass that these are given as; none where they are
            given in order.
        scheme: How it rounds, where the policy has bits.
        groups: By name, how many units each group has, and which of them were kept.
    """

    folder: Path
    policy: Policy
    origin: Origin
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
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

    @property
    def examples(self) -> Given:
        """What the original is traced with."""
        if not self.input_names:
            return self.inputs
        return dict(zip(self.input_names, self.inputs, strict=True))

    def load(self, model: nn.Module | None = None) -> fx.GraphModule:
        """The network, as `load_network` gives it."""
        original = self._original() if model is None else model
        network = trace(original, self.examples)
        kept = self.kept(network)
        candidate = narrow(network, kept)
        if self.policy.quantized:
            folded = fold(candidate)
            # Placeholders of ranges are filled from the tensors.
            candidate = quantize(
                folded,
                self.policy,
                inputs=None,
                scheme=self.scheme,
            )

        # Shared parameters that were trained apart need places of their own to be loaded into.
        tensors = read_tensors(self.folder)
        untie_different(candidate, network.shared, tensors)
        candidate = trainable_copy(candidate)
        try:
            candidate.load_state_dict(tensors)
        except RuntimeError as error:
            path = self.folder / TENSORS
            raise WeightsError(f"{path} does not fit the network: {error}") from error

        return candidate

    def kept(self, network: Network) -> BoolArray:
        """One flag per unit of the original; groups that are not stored were kept whole."""
        kept = np.ones(network.units, dtype=np.bool_)
        sizes = {group.name: group.size for group in network.groups}

        for name, (size, stay) in self.groups.items():
            here = sizes.get(name)
            if here != size:
                raise PolicyError(
                    f"{self.folder} was made from another network: group {name!r} has {size} "
                    f"units there, {here} here"
                )

            units = network.group_by_name[name].units
            kept[units] = False
            staying = units[stay]
            kept[staying] = True

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
        return models.build(
            origin.model,
            classes=origin.classes,
            pixels=origin.pixels,
        )


def read_policy(folder: Path) -> Policy:
    """The policy of a folder that `save_network` wrote.

    Raises `RunError` if there is none, `PolicyError` if it cannot be read.
    """
    path = folder / POLICY
    try:
        return Policy.from_json(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is missing; it is written by a finished search") from None


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder that `save_network` wrote.

    Raises `RunError` if there are none, `WeightsError` if they cannot be read.
    """
    path = folder / TENSORS
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except SafetensorError as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error


def describe_inputs(network: Network) -> dict[str, Any]:
    """What `network.json` says of what a network reads."""
    inputs = network.example_inputs
    return {
        "inputs": [list(item.shape) for item in inputs],
        "input_types": [str(item.dtype).removeprefix("torch.") for item in inputs],
        "input_ranges": [_range(item) for item in inputs],
        "input_names": list(network.input_names),
    }


def _range(item: Tensor) -> list[int] | None:
    """Lowest and highest of whole numbers; None of others, which may be any."""
    if item.is_floating_point():
        return None
    return [int(item.min()), int(item.max())]


def _read_description(folder: Path) -> dict[str, Any]:
    """What ``network.json`` holds."""
    path = folder / DESCRIPTION
    missing = f"{path} does not exist; it is written by a finished search"
    content = read_json(path, missing=missing, error=RunError)
    if content.get("schema") != SCHEMA:
        raise RunError(f"{path} is not a network of schema {SCHEMA}")

    found = {}
    for key, parse in _PARTS.items():
        try:
            found[key] = parse(content)
        except _UNREADABLE as error:
            raise RunError(f"{path}: {key} cannot be read: {error!r}") from error

    return found


def _parse_dataclass(key: str, kind: Any, content: dict[str, Any]) -> Any:
    """A dataclass of plain values. Raises `TypeError` for one of another type."""
    hints = get_type_hints(kind)
    values = content[key]
    for name, value in values.items():
        # Not isinstance, for which True is a number.
        if type(value) is not hints.get(name):
            raise TypeError(f"{name} is {value!r}")
    return kind(**values)


def _parse_inputs(content: dict[str, Any]) -> tuple[Tensor, ...]:
    shapes = content["inputs"]
    types = content.get("input_types", ["float32"] * len(shapes))
    ranges = content.get("input_ranges", [None] * len(shapes))

    inputs = []
    for shape, name, limits in zip(shapes, types, ranges, strict=True):
        low, high = limits or (0, 0)
        numbers = torch.linspace(low, high, math.prod(shape)).round()
        inputs.append(numbers.to(_dtype(name)).reshape(shape))

    return tuple(inputs)


def _parse_names(content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get("input_names", [])
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{names} are no names")
    if names and len(names) != len(content["inputs"]):
        raise ValueError(f"{len(names)} names, of {len(content['inputs'])} inputs")
    return tuple(names)


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"{name} is no type of tensors")
    return dtype


def _parse_groups(content: dict[str, Any]) -> dict[str, tuple[int, list[int]]]:
    return {name: _parse_group(**entry) for name, entry in content["groups"].items()}


def _parse_group(size: int, kept: list[int]) -> tuple[int, list[int]]:
    # ``index`` raises `ValueError` for what is no unit of the group.
    units = range(size)
    return size, [units.index(unit) for unit in kept]


_PARTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "origin": partial(_parse_dataclass, "origin", Origin),
    "inputs": _parse_inputs,
    "input_names": _parse_names,
    "scheme": partial(_parse_dataclass, "scheme", Scheme),
    "groups": _parse_groups,
}
