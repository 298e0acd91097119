"""The form in which candidates are scored: batch norms folded, channels last, in one dtype."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules._copies import own_tensors, shallow_copy, with_tensors
from sartor.compression.modules._norms import BatchNorm, affine, norms_behind
from sartor.machine import channels_last

#: Layers that batch norms are folded into.
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FoldedNorm(nn.Identity):
    """Where a batch norm was."""


@torch.no_grad()
def fold(network: fx.GraphModule, dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """A copy in ``dtype``, channels last, with batch norms folded into convolutions.

    Those are folded that stand behind convolutions only; a `FoldedNorm` takes their places.
    """
    folded = shallow_copy(network)
    scales = _remove_norms(folded, network)

    # A list, because modules are replaced on the way.
    for name, module in list(folded.named_modules()):
        tensors = own_tensors(module)
        if not tensors:
            continue

        if name in scales:
            scale, shift = scales[name]
            tensors |= _scaled(tensors, scale, shift)
        converted = {key: _cast(value, dtype) for key, value in tensors.items()}
        new = with_tensors(module, converted)

        if name:
            folded.set_submodule(name, new)
        else:
            # The network itself cannot be replaced, only what it holds.
            folded._parameters = new._parameters
            folded._buffers = new._buffers

    return folded


def _remove_norms(
    folded: fx.GraphModule, network: fx.GraphModule
) -> dict[str, tuple[Tensor, Tensor]]:
    """Take batch norms out of a copy of ``network``; by layer, the scale and shift they apply."""
    scales = {}
    behind = norms_behind(network, layers=CONVOLUTIONS)
    for layer, name in behind.items():
        # From the original: in the copy, one behind several layers may be gone already.
        norm = network.get_submodule(name)
        scales[layer] = affine(cast("BatchNorm", norm))

        # Something has to stand where the graph calls a module.
        folded.set_submodule(name, FoldedNorm())
    return scales


def _scaled(tensors: dict[str, Tensor], scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """Weight and bias of a convolution whose outputs are scaled and shifted, both (channels,)."""
    weight = tensors["weight"]
    no_bias = torch.zeros_like(scale)
    bias = tensors.get("bias", no_bias)

    ones = [1] * (weight.dim() - 1)
    by_output = scale.view(-1, *ones)
    return {
        "weight": weight * by_output,
        "bias": shift + scale * bias,
    }


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return channels_last(tensor.to(dtype))
