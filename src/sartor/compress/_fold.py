"""The form in which candidates are scored: batch norm folded, channels last, bf16 where the processor multiplies it fast."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from sartor._layout import channels_last
from sartor.compress._modules import share, with_tensors


@torch.no_grad()
def fold(network: fx.GraphModule, dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """A copy in ``dtype``, channels last, whose batch norms are part of the convolutions before them where they can be."""
    folded = share(network)
    scales: dict[str, tuple[Tensor, Tensor]] = {}
    for node in network.graph.nodes:
        norm = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        (source,) = node.all_input_nodes
        layer = network.get_submodule(str(source.target)) if source.op == "call_module" else None
        if isinstance(layer, nn.Conv2d) and len(source.users) == 1 and source.target not in scales:
            scales[str(source.target)] = affine(norm)
            folded.set_submodule(str(node.target), nn.Identity())
    for name, module in list(folded.named_modules()):
        if not module._parameters and not module._buffers:
            continue
        tensors = {key: value for key, value in (*module._parameters.items(), *module._buffers.items()) if value is not None}
        if name in scales:
            scale, shift = scales[name]
            tensors["bias"] = shift + scale * tensors.get("bias", torch.zeros_like(scale))
            tensors["weight"] = tensors["weight"] * scale.view(-1, *(1,) * (tensors["weight"].dim() - 1))
        folded.set_submodule(name, with_tensors(module, {key: _cast(value, dtype) for key, value in tensors.items()}))
    return folded


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


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32."""
    supported = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if supported and has_instructions else torch.float32
