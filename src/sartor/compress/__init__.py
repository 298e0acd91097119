"""What a policy does to a network: choose, slice, mask, refit."""

from sartor.compress._compressor import CompressOptions, Compressor
from sartor.compress._fold import fastest_dtype, fold
from sartor.compress._modules import owned
from sartor.compress._quantize import GALEN, INTEGER, Scheme, quantize
from sartor.compress._ranges import RangeMethod
from sartor.compress._ranking import Ranking
from sartor.compress._safety import keep_safe_groups
from sartor.compress._slice import kept_channels, mask, narrow

__all__ = [
    "GALEN", "INTEGER", "CompressOptions", "Compressor", "RangeMethod", "Ranking", "Scheme", "fastest_dtype", "fold",
    "keep_safe_groups", "kept_channels", "mask", "narrow", "owned", "quantize",
]  # fmt: skip
