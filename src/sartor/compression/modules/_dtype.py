"""The number format that the processor computes in fastest."""

from __future__ import annotations

import torch


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32."""
    supported = (
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if supported and has_instructions else torch.float32
