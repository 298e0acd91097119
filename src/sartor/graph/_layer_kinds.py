"""Functions of torch that are given weights, and the modules that do the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Call:
    """A function that is given weights.

    Attributes:
        entering: What it works on.
        tensors: Its weights, by the names that a module has for them.
        settings: All its other arguments, by name.
    """

    entering: fx.Node
    tensors: Mapping[str, fx.Node]
    settings: Mapping[str, Any]


class Kind(ABC):
    """A kind of such functions; add one to `KINDS` to have another rewritten.

    Attributes:
        arguments: Names of its positional arguments, in order; ``input`` is what it works on.
        tensors: Those of them that are weights.
        needs_dims: Whether it depends on the number of axes which module does the same.
        keeps_weights: Whether the module has the weights just as they are given.
    """

    arguments: tuple[str, ...]
    tensors: tuple[str, ...] = ("weight", "bias")
    needs_dims = False
    keeps_weights = True

    def read(self, node: fx.Node) -> Call | None:
        """The arguments of a node; None where it has no input or weights that are computed."""
        given: dict[str, Any] = dict(zip(self.names(node), node.args, strict=False))
        given |= node.kwargs
        entering = given.pop("input", None)
        tensors = {name: given.pop(name, None) for name in self.tensors}
        present = {name: value for name, value in tensors.items() if value is not None}

        read = [entering, *present.values()]
        computed = [value for value in given.values() if isinstance(value, fx.Node)]
        if computed or not all(isinstance(value, fx.Node) for value in read):
            return None
        return Call(entering, present, given)

    def names(self, node: fx.Node) -> tuple[str, ...]:
        """Names of the positional arguments of the very function that a node calls."""
        return self.arguments

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        """Whether a module of this kind can have these weights."""
        return "weight" in values

    @abstractmethod
    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module | None:
        """The module that does the same on tensors of so many axes; None if there is none."""

    def replace(self, node: fx.Node, new: fx.Node) -> None:
        """Let all that read the function read the module instead."""
        node.replace_all_uses_with(new)


def with_weights(module: nn.Module, values: Mapping[str, Tensor]) -> nn.Module:
    """A module, made without values, with these; parameters stay those of the network."""
    for name, value in values.items():
        if name in module._buffers:
            module._buffers[name] = value
            continue
        if not isinstance(value, nn.Parameter):
            value = nn.Parameter(value.clone(), requires_grad=False)
        module.register_parameter(name, value)
    return module.eval()


class _Linear(Kind):
    arguments = ("input", "weight", "bias")

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        return values["weight"].dim() == 2

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        outputs, inputs = values["weight"].shape
        module = nn.Linear(inputs, outputs, bias="bias" in values, device="meta")
        return with_weights(module, values)


class _LinearOfColumns(_Linear):
    """``addmm``, whose weight has a column for each output."""

    arguments = ("bias", "input", "weight")
    keeps_weights = False

    def read(self, node: fx.Node) -> Call | None:
        is_plain = node.kwargs.get("beta", 1) == 1 == node.kwargs.get("alpha", 1)
        return super().read(node) if is_plain else None

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        turned = values["weight"].t().contiguous()
        return super().build(call, {**values, "weight": turned}, dims)


class _Convolution(Kind):
    arguments = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    _classes = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        weight = values["weight"]
        settings = dict(call.settings)
        groups = settings.get("groups", 1)
        outputs, inputs, *kernel = weight.shape
        kind: Any = self._classes[len(kernel) - 1]
        module = kind(
            inputs * groups,
            outputs,
            tuple(kernel),
            stride=_per_axis(settings.get("stride", 1)),
            padding=_padding(settings.get("padding", 0)),
            dilation=_per_axis(settings.get("dilation", 1)),
            groups=groups,
            bias="bias" in values,
            device="meta",
        )
        return with_weights(module, values)


class _BatchNorm(Kind):
    """As torch has it; `torch.nn.functional` has another order."""

    arguments: tuple[str, ...] = (
        "input",
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "training",
        "momentum",
        "eps",
    )
    tensors = ("running_mean", "running_var", "weight", "bias")
    needs_dims = True

    def names(self, node: fx.Node) -> tuple[str, ...]:
        if node.target is not F.batch_norm:
            return self.arguments
        first, weight, bias, mean, variance, *others = self.arguments
        return (first, mean, variance, weight, bias, *others)

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        has_statistics = "running_mean" in values and "running_var" in values
        return has_statistics and not call.settings.get("training", False)

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        classes = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        module = classes[dims](
            len(values["running_mean"]),
            eps=call.settings.get("eps", 1e-5),
            momentum=call.settings.get("momentum", 0.1),
            affine="weight" in values,
        )
        return with_weights(module.requires_grad_(False), values)


class _BatchNormInParts(_BatchNorm):
    """As torch.export has it where nothing is changed in place: it gives the statistics too."""

    arguments = ("input", "weight", "bias", "running_mean", "running_var", "momentum", "eps")

    def replace(self, node: fx.Node, new: fx.Node) -> None:
        for reader in list(node.users):
            if reader.args[1] == 0:
                reader.replace_all_uses_with(new)


class _LayerNorm(Kind):
    arguments = ("input", "normalized_shape", "weight", "bias", "eps")

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        return len(call.settings["normalized_shape"]) == 1

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module | None:
        if "bias" in values and "weight" not in values:
            return None
        module = nn.LayerNorm(
            tuple(call.settings["normalized_shape"]),
            eps=call.settings.get("eps", 1e-5),
            elementwise_affine="weight" in values,
            bias="bias" in values,
            device="meta",
        )
        return with_weights(module, values)


class _RMSNorm(Kind):
    arguments = ("input", "normalized_shape", "weight", "eps")
    tensors = ("weight",)

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        return len(call.settings["normalized_shape"]) == 1

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        module = nn.RMSNorm(
            tuple(call.settings["normalized_shape"]),
            eps=call.settings.get("eps"),
            elementwise_affine="weight" in values,
            device="meta",
        )
        return with_weights(module, values)


class _GroupNorm(Kind):
    arguments = ("input", "num_groups", "weight", "bias", "eps")

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module | None:
        if "bias" not in values:
            return None
        module = nn.GroupNorm(
            call.settings["num_groups"],
            len(values["weight"]),
            eps=call.settings.get("eps", 1e-5),
            device="meta",
        )
        return with_weights(module, values)


class _Embedding(Kind):
    """As torch has it; `torch.nn.functional` has the indices first."""

    arguments = ("weight", "input", "padding_idx")
    tensors = ("weight",)

    def names(self, node: fx.Node) -> tuple[str, ...]:
        if node.target is F.embedding:
            return ("input", "weight", "padding_idx", "max_norm")
        return self.arguments

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        # Rows that are longer are shortened where they lie.
        return call.settings.get("max_norm") is None

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        words, width = values["weight"].shape
        padding = call.settings.get("padding_idx")
        if padding is not None and padding < 0:
            padding = None
        module = nn.Embedding(words, width, padding_idx=padding, device="meta")
        return with_weights(module, values)


def _per_axis(size: Any) -> Any:
    return tuple(size) if isinstance(size, (tuple, list)) else size


def _padding(size: Any) -> Any:
    return size if isinstance(size, str) else _per_axis(size)


#: By the names of functions.
KINDS: dict[str, Kind] = {
    "linear": _Linear(),
    "addmm": _LinearOfColumns(),
    "conv1d": _Convolution(),
    "conv2d": _Convolution(),
    "conv3d": _Convolution(),
    "embedding": _Embedding(),
    "batch_norm": _BatchNorm(),
    "_native_batch_norm_legit_no_training": _BatchNormInParts(),
    "layer_norm": _LayerNorm(),
    "rms_norm": _RMSNorm(),
    "group_norm": _GroupNorm(),
}
