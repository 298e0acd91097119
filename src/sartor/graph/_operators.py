"""What an operator does to channels, by name: the one table that tracing, pruning and costing share."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from torch import fx, nn

from sartor.graph._layers import LAYERS
from sartor.graph._select import ChannelSelect


class Effect(Enum):
    """How an operator treats the channels of its inputs."""

    MIX = auto()  # a layer: every output channel is a new one (Conv, Linear)
    SCALE = auto()  # one learned number per channel (batch norm, PReLU)
    POINTWISE = auto()  # element by element, inputs broadcast together
    SPATIAL = auto()  # mixes positions inside a channel (pooling, interpolation)
    REDUCE = auto()  # removes axes by mean, sum, max
    MOVE = auto()  # moves elements without changing them (reshape, concatenate, split, pad)
    SIZE = auto()  # yields no tensor
    UNKNOWN = auto()  # anything else: its inputs are kept whole, its cost is not known


_POINTWISE = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "truediv",
        "iadd",
        "imul",
        "isub",
        "itruediv",
        "neg",
        "abs",
        "pow",
        "sqrt",
        "rsqrt",
        "exp",
        "log",
        "sigmoid",
        "tanh",
        "relu",
        "relu_",
        "relu6",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "softplus",
        "clamp",
        "clamp_min",
        "clamp_max",
        "clip",
        "where",
        "maximum",
        "minimum",
        "dropout",
        "dropout2d",
        "alpha_dropout",
        "feature_dropout",
        "contiguous",
        "to",
        "float",
        "half",
        "bfloat16",
        "clone",
        "detach",
        "type_as",
        "add_",
        "mul_",
        "sub_",
        "div_",
        "sigmoid_",
        "hardswish_",
        "identity",
        "rsub",
        "square",
        "reciprocal",
        "erf",
    ]
)
_SPATIAL = frozenset(
    [
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "adaptive_max_pool1d",
        "adaptive_max_pool2d",
        "interpolate",
        "upsample",
        "boolean_dispatch",
    ]
)
_REDUCE = frozenset(["mean", "sum", "amax", "amin"])
_MOVE = frozenset(
    [
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "permute",
        "transpose",
        "swapaxes",
        "movedim",
        "squeeze",
        "unsqueeze",
        "cat",
        "concat",
        "stack",
        "chunk",
        "split",
        "tensor_split",
        "unbind",
        "getitem",
        "pad",
        "expand",
        "expand_as",
        "repeat",
        "narrow",
        "select",
        "index_select",
        "roll",
        "flip",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "T",
        "t",
        "tile",
        "repeat_interleave",
        "split_with_sizes",
    ]
)
_SIZE = frozenset(
    [
        "size",
        "dim",
        "numel",
        "len",
        "floordiv",
        "mod",
        "getattr",
        "int",
        "eq",
        "ne",
        "lt",
        "gt",
        "le",
        "ge",
        "sym_int",
        "ndimension",
        "is_floating_point",
    ]
)

_SCALES = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.PReLU,
)
_POINTWISE_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.Softplus,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.Identity,
    nn.Threshold,
)
_SPATIAL_MODULES = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.Upsample,
    nn.LPPool2d,
)
_MOVE_MODULES = (
    nn.Flatten,
    nn.Unflatten,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.ConstantPad1d,
    nn.ConstantPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
)
#: Modules that cost no MACs by convention though sartor does not prune through them.
_FREE = (
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.Softmax,
    nn.LogSoftmax,
    nn.Embedding,
    nn.GLU,
)
_FREE_FUNCTIONS = frozenset(
    [
        "softmax",
        "log_softmax",
        "layer_norm",
        "group_norm",
        "glu",
        "normalize",
        "cumsum",
        "argmax",
        "topk",
        "sort",
    ]
)


def operator_name(node: fx.Node) -> str:
    """Name of the operator a function or method node calls, e.g. ``add`` or ``view``."""
    return (
        node.target
        if isinstance(node.target, str)
        else getattr(node.target, "__name__", str(node.target))
    )


def module_effect(module: nn.Module) -> Effect:
    """Effect of a leaf module on channels."""
    table: tuple[tuple[tuple[Any, ...], Effect], ...] = (
        (LAYERS, Effect.MIX),
        (_SCALES, Effect.SCALE),
        (_POINTWISE_MODULES, Effect.POINTWISE),
        (_SPATIAL_MODULES, Effect.SPATIAL),
        ((*_MOVE_MODULES, ChannelSelect), Effect.MOVE),
    )
    return next((effect for types, effect in table if type(module) in types), Effect.UNKNOWN)


def function_effect(name: str) -> Effect:
    """Effect of a function or method on channels, by its name."""
    table = (
        (_POINTWISE, Effect.POINTWISE),
        (_SPATIAL, Effect.SPATIAL),
        (_REDUCE, Effect.REDUCE),
        (_MOVE, Effect.MOVE),
        (_SIZE, Effect.SIZE),
    )
    return next((effect for names, effect in table if name in names), Effect.UNKNOWN)


def costs_nothing(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether an operator of unknown effect is free of MACs by convention (norms, softmax)."""
    return (
        isinstance(module, _FREE) if module is not None else operator_name(node) in _FREE_FUNCTIONS
    )
