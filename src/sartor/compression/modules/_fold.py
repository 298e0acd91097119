"""The form in which candidates are scored: batch norm folded, channels last, bf16 where the processor multiplies it fast."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules._copies import shallow_copy, with_tensors
from sartor.compression.modules._norms import keeps_statistics, norms_behind
from sartor.machine import channels_last


class FoldedNorm(nn.Identity):
    """Where a batch norm was."""


@torch.no_grad()
def fold(network: fx.GraphModule, dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """A copy in ``dtype``, channels last, whose batch norms are part of the convolutions before them where they can be."""
    folded = shallow_copy(network)
    scales: dict[str, tuple[Tensor, Tensor]] = {}
    for layer, name in norms_behind(network, _folds, (nn.Conv2d,)).items():
        scales[layer] = affine(cast("nn.BatchNorm2d", network.get_submodule(name)))
        folded.set_submodule(name, FoldedNorm())
    for name, module in list(folded.named_modules()):
        if not module._parameters and not module._buffers:
            continue
        tensors = {
            key: value
            for key, value in (*module._parameters.items(), *module._buffers.items())
            if value is not None
        }
        if name in scales:
            scale, shift = scales[name]
            tensors["bias"] = shift + scale * tensors.get("bias", torch.zeros_like(scale))
            tensors["weight"] = tensors["weight"] * scale.view(
                -1, *(1,) * (tensors["weight"].dim() - 1)
            )
        new = with_tensors(module, {key: _cast(value, dtype) for key, value in tensors.items()})
        if name:
            folded.set_submodule(name, new)
        else:  # tensors of the network itself
            folded._parameters, folded._buffers = new._parameters, new._buffers
    return folded


def _folds(module: nn.Module) -> bool:
    """Whether a module is a batch norm of images, by statistics of its own."""
    return isinstance(module, nn.BatchNorm2d) and keeps_statistics(module)


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift a batch norm applies in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        return scale * norm.weight, norm.bias - norm.running_mean * scale * norm.weight
    return scale, -norm.running_mean * scale


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return channels_last(tensor.to(dtype))
