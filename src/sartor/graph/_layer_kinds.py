"""Functions of torch that are given weights, and the modules that do the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from sartor.graph._kind import Call, Kind, with_weights
from sartor.graph._norm_kinds import (
    BatchNorm,
    BatchNormInParts,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)


class _Linear(Kind):
    arguments: tuple[str, ...] = ("input", "weight", "bias")

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        return values["weight"].dim() == 2

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        outputs, inputs = values["weight"].shape
        module = nn.Linear(inputs, outputs, bias="bias" in values, device="meta")
        return with_weights(module, values)


class _LinearOfColumns(_Linear):
    """``addmm``, whose weight has a column for each output."""

    arguments: tuple[str, ...] = ("bias", "input", "weight")
    keeps_weights = False

    def read(self, node: fx.Node) -> Call | None:
        is_plain = node.kwargs.get("beta", 1) == 1 == node.kwargs.get("alpha", 1)
        return super().read(node) if is_plain else None

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        turned = values["weight"].t().contiguous()
        return super().build(call, {**values, "weight": turned}, dims)


class _MatrixOfColumns(_LinearOfColumns):
    """``x @ weight``."""

    arguments = ("input", "weight")

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        return super().fits(call, values) and not values.keys() - {"weight"}


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
    "matmul": _MatrixOfColumns(),
    "conv1d": _Convolution(),
    "conv2d": _Convolution(),
    "conv3d": _Convolution(),
    "embedding": _Embedding(),
    "batch_norm": BatchNorm(),
    "instance_norm": InstanceNorm(),
    "_native_batch_norm_legit_no_training": BatchNormInParts(),
    "layer_norm": LayerNorm(),
    "rms_norm": RMSNorm(),
    "group_norm": GroupNorm(),
}
