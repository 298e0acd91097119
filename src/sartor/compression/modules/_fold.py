"""The form in which candidates are scored: batch norms folded, channels last, in one dtype."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules._copies import own_tensors, shallow_copy, with_tensors
from sartor.compression.modules._norms import BatchNorm, affine, norms_behind
from sartor.machine import channels_last

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FoldedNorm(nn.Identity):
    """Where a batch norm was."""


@torch.no_grad()
def fold(network: fx.GraphModule, dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """A copy in ``dtype``, channels last, with batch norms folded into convolutions.

    Those are folded that stand behind convolutions only; a `FoldedNorm` takes their places.
    """
    folded = shallow_copy(network)
    scales: dict[str, tuple[Tensor, Tensor]] = {}
    for layer, name in norms_behind(network, layers=_CONVOLUTIONS).items():
        scales[layer] = affine(cast("BatchNorm", network.get_submodule(name)))
        folded.set_submodule(name, FoldedNorm())
    for name, module in list(folded.named_modules()):
        tensors = own_tensors(module)
        if not tensors:
            continue
        if name in scales:
            tensors |= _scaled(tensors, *scales[name])
        new = with_tensors(module, {key: _cast(value, dtype) for key, value in tensors.items()})
        if name:
            folded.set_submodule(name, new)
        else:  # tensors of the network itself
            folded._parameters = new._parameters
            folded._buffers = new._buffers
    return folded


def _scaled(tensors: dict[str, Tensor], scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """Weight and bias of a convolution whose outputs are scaled and shifted, both (channels,)."""
    weight = tensors["weight"]
    bias = tensors.get("bias", torch.zeros_like(scale))
    return {
        "weight": weight * scale.view(-1, *(1,) * (weight.dim() - 1)),
        "bias": shift + scale * bias,
    }


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return channels_last(tensor.to(dtype))
