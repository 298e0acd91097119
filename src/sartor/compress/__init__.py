"""What a policy does to a network: choose, slice, mask, refit."""

from sartor.compress._compressor import CompressOptions, Compressor
from sartor.compress._fold import fast_form, fastest_dtype, fold
from sartor.compress._ranking import Ranking
from sartor.compress._slice import kept_channels, mask, narrow

__all__ = [
    "CompressOptions", "Compressor", "Ranking", "fast_form", "fastest_dtype", "fold", "kept_channels", "mask", "narrow",
]  # fmt: skip
