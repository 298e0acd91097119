"""Functions of torch that normalise, and the modules that do the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, fx, nn

from sartor.graph._kind import Call, Kind, with_weights


class BatchNorm(Kind):
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


class InstanceNorm(BatchNorm):
    """Of each image; torch has the same order of arguments as for batch norms."""

    def names(self, node: fx.Node) -> tuple[str, ...]:
        if node.target is not F.instance_norm:
            return self.arguments
        first, weight, bias, mean, variance, *others = self.arguments
        return (first, mean, variance, weight, bias, *others)

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        # Those without weights need no module to be followed.
        own = call.settings.get("training", True)
        return own and "weight" in values and "bias" in values and "running_mean" not in values

    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module:
        classes = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}
        eps = call.settings.get("eps", 1e-5)
        module = classes[dims](len(values["weight"]), eps=eps, affine=True)
        return with_weights(module.requires_grad_(False), values)


class BatchNormInParts(BatchNorm):
    """As torch.export has it where nothing is changed in place: it gives the statistics too."""

    arguments = ("input", "weight", "bias", "running_mean", "running_var", "momentum", "eps")

    def replace(self, node: fx.Node, new: fx.Node) -> None:
        for reader in list(node.users):
            if reader.args[1] == 0:
                reader.replace_all_uses_with(new)


class LayerNorm(Kind):
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


class RMSNorm(Kind):
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


class GroupNorm(Kind):
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
