"""The form in which candidates are scored: batch norm folded, channels last, bf16 where the processor multiplies it fast."""

from __future__ import annotations

import torch
from torch import fx, nn

from sartor.compress._slice import share


@torch.no_grad()
def fold(network: fx.GraphModule) -> fx.GraphModule:
    """A copy in which every batch norm behind a convolution is part of its weights; same outputs up to rounding."""
    folded = share(network)
    modules = dict(folded.named_modules())
    for node in list(folded.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        (source,) = node.all_input_nodes
        layer = modules.get(str(source.target)) if source.op == "call_module" else None
        if not isinstance(layer, nn.Conv2d) or len(source.users) > 1:
            continue
        folded.set_submodule(str(source.target), torch.nn.utils.fuse_conv_bn_eval(layer, modules[node.target]))
        folded.set_submodule(str(node.target), nn.Identity())
    return folded


def fast_form(network: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """Folded, in ``dtype`` and channels last; outputs in ``dtype``."""
    return fold(network).to(dtype=dtype, memory_format=torch.channels_last)


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32."""
    supported = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if supported and has_instructions else torch.float32
