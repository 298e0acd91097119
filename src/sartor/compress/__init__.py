"""What a policy does to a network: choose, slice, mask, refit."""

from sartor.compress._calls import LayerCall, layer_calls
from sartor.compress._compressor import CompressOptions, Compressor
from sartor.compress._fold import fastest_dtype, fold
from sartor.compress._modules import digest, owned, weight_of, with_tensors
from sartor.compress._quantize import deployable, quantize
from sartor.compress._quantizers import (
    ActivationQuantizer,
    QuantizedWeight,
    can_be_quantized,
    is_quantized,
    rounded_once,
    with_rounded_weight,
)
from sartor.compress._ranges import RangeMethod, find_range
from sartor.compress._ranking import Ranking
from sartor.compress._safety import keep_safe_groups
from sartor.compress._scheme import GALEN, INTEGER, REDUCED, Scheme
from sartor.compress._slice import kept_channels, mask, narrow, widen
from sartor.compress._unfold import refold, unfold
from sartor.compress._winograd import accelerate, accelerated

__all__ = [
    "GALEN", "INTEGER", "REDUCED", "ActivationQuantizer", "CompressOptions", "Compressor", "LayerCall", "QuantizedWeight",
    "RangeMethod", "Ranking", "Scheme", "accelerate", "accelerated", "can_be_quantized", "deployable", "digest",
    "fastest_dtype", "find_range", "fold",
    "is_quantized", "keep_safe_groups", "kept_channels", "layer_calls", "mask", "narrow", "owned", "quantize",
    "refold", "rounded_once", "unfold", "weight_of", "widen", "with_rounded_weight", "with_tensors",
]  # fmt: skip
