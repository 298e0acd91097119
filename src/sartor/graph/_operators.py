"""What an operator does to channels: the one table that tracing, pruning and costing share."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from sartor.errors import UsageError
from sartor.registry import Registry

if TYPE_CHECKING:
    from torch import fx, nn


class Effect(Enum):
    """How an operator treats the channels of its inputs.

    >>> Effect.SCALE.name
    'SCALE'
    """

    #: A layer: every output channel is a new one (convolution, linear).
    MIX = auto()
    #: A table with a row per word: every output channel is a new one.
    EMBED = auto()
    #: Learned numbers per channel, or statistics over channels (batch norm, layer norm, PReLU).
    SCALE = auto()
    #: Element by element, inputs broadcast together.
    POINTWISE = auto()
    #: Mixes positions inside a channel (pooling, interpolation).
    SPATIAL = auto()
    #: Removes axes by mean, sum, maximum.
    REDUCE = auto()
    #: Moves elements without changing them (reshape, concatenate, split, pad).
    MOVE = auto()
    #: Works along one axis, which is kept whole (softmax, cumulative sum).
    ALONG = auto()
    #: A product of two activations, summed over one axis of both (matmul).
    PRODUCT = auto()
    #: Queries, keys and values (scaled dot product attention).
    ATTEND = auto()
    #: Gives no tensor.
    SIZE = auto()
    #: Makes a tensor of given sizes, whatever the values of its input.
    MAKE = auto()
    #: Keeps its inputs whole and costs no MACs by convention (sorting).
    FREE = auto()
    #: Anything else: keeps its inputs whole, and its cost is not known.
    UNKNOWN = auto()


#: Functions of torch, Python's operators, and methods of tensors, by name. In-place operators are
#: missing: tracing makes ordinary ones of them.
_FUNCTIONS = {
    Effect.POINTWISE: """
        add sub rsub mul div truediv floordiv mod neg abs
        pow square sqrt rsqrt reciprocal exp log erf
        eq ne lt gt le ge
        sigmoid tanh relu relu6 gelu silu mish hardswish hardsigmoid hardtanh
        leaky_relu elu selu celu softplus
        clamp clamp_min clamp_max clip where maximum minimum max min
        addcmul addcdiv lerp masked_fill fill logical_not logical_and logical_or
        sin cos floor ceil round sign exp2 expm1 log1p hardshrink softsign softshrink
        logsigmoid float_power divide multiply subtract true_divide isnan isinf nan_to_num
        dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout
        contiguous to int float double half bfloat16 long bool type_as clone detach
        zeros_like ones_like full_like empty_like rand_like randn_like
    """,
    Effect.SPATIAL: """
        max_pool1d max_pool2d max_pool3d
        avg_pool1d avg_pool2d avg_pool3d
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
        adaptive_max_pool1d adaptive_max_pool2d
        interpolate upsample upsample_nearest1d upsample_nearest2d upsample_nearest3d
        instance_norm
        upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d
    """,
    Effect.REDUCE: "mean sum amax amin prod var std norm linalg_vector_norm logsumexp",
    Effect.MOVE: """
        view view_as reshape reshape_as flatten unflatten squeeze unsqueeze
        permute transpose swapaxes movedim T t
        cat concat stack chunk split split_with_sizes tensor_split unbind
        getitem narrow select index_select gather take take_along_dim
        expand expand_as repeat repeat_interleave tile
        pad constant_pad_nd roll flip select_scatter slice_scatter meshgrid
        unfold im2col fold col2im
        pixel_shuffle pixel_unshuffle channel_shuffle
    """,
    Effect.SIZE: """
        size dim ndimension numel nelement stride len getattr sym_int
        is_floating_point is_complex is_contiguous
    """,
    Effect.ALONG: "softmax log_softmax normalize cumsum",
    Effect.PRODUCT: "matmul bmm",
    Effect.ATTEND: "scaled_dot_product_attention",
    Effect.FREE: """
        layer_norm group_norm glu argmax argmin argsort sort topk
    """,
    Effect.MAKE: "new_zeros new_ones new_full new_empty new_tensor",
}

#: Classes of ``torch.nn``, by name.
_MODULES = {
    Effect.MIX: "Linear Conv1d Conv2d Conv3d",
    Effect.EMBED: "Embedding",
    Effect.SCALE: """
        BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d
        LayerNorm RMSNorm GroupNorm PReLU
    """,
    Effect.POINTWISE: """
        ReLU ReLU6 Sigmoid Tanh GELU SiLU Mish Hardswish Hardsigmoid Hardtanh
        LeakyReLU ELU SELU CELU Softplus Threshold
        LogSigmoid Softsign Softshrink Hardshrink
        Dropout Dropout1d Dropout2d Dropout3d AlphaDropout Identity
    """,
    Effect.SPATIAL: """
        MaxPool1d MaxPool2d MaxPool3d
        AvgPool1d AvgPool2d AvgPool3d LPPool2d
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d
        AdaptiveMaxPool1d AdaptiveMaxPool2d
        Upsample UpsamplingNearest2d UpsamplingBilinear2d
    """,
    Effect.MOVE: """
        Flatten Unflatten Unfold Fold
        PixelShuffle PixelUnshuffle ChannelShuffle
        ZeroPad1d ZeroPad2d ConstantPad1d ConstantPad2d ReflectionPad2d ReplicationPad2d
    """,
    Effect.ALONG: "Softmax LogSoftmax",
    Effect.FREE: "LocalResponseNorm GLU",
}

#: What torch's layers and norms call their tensors with one entry per channel.
_PER_CHANNEL = frozenset(["weight", "bias", "running_mean", "running_var"])

#: Where functions come from that the table knows by their bare names.
_HOMES = frozenset(["torch", "_operator", "math", "builtins"])


class Operators(Registry[Effect]):
    """Effects of operators by name, `OPERATORS` being the one that tracing asks.

    Modules of ``torch.nn`` are called ``nn.ReLU``, functions of torch and methods of tensors
    ``relu``, and all others by the module that defines them, ``package.module.Name``.

    A class of modules that is registered is not looked into when a network is traced. One of
    `Effect.MIX` must be a subclass of `torch.nn.Linear` or a convolution of torch. One of
    `Effect.SCALE` has its numbers per channel along the first axis of its own parameters and
    buffers. A function is seen only if it is wrapped with `torch.fx.wrap`. What is declared wrongly
    is found out when slicing is proved, and channels that it touches are then kept whole.

    >>> import torch
    >>> class Swish(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x * torch.sigmoid(1.7 * x)
    >>> operators = Operators("operator")
    >>> operators.register(Swish, Effect.POINTWISE)
    >>> operators.effect(Swish)
    <Effect.POINTWISE: 4>
    >>> operators.effect("conv_transpose2d")
    <Effect.UNKNOWN: 14>
    """

    def register(self, name: str | Callable[..., Any], member: Effect | str) -> None:
        """Declare the effect of an operator: a class of modules, a function, or the name of one.

        Raises `UsageError` for one that is declared already, and for a layer that is none of
        torch's.
        """
        if not isinstance(name, str):
            if member is Effect.MIX:
                _require_layer(name)
            name = name_of(name)
        super().register(name, member)

    def effect(self, operator: str | Callable[..., Any]) -> Effect:
        """Effect of an operator; `Effect.UNKNOWN` for one that is not declared."""
        name = operator if isinstance(operator, str) else name_of(operator)
        if name in self:
            return self.get(name)
        return Effect.UNKNOWN


def name_of(operator: Callable[..., Any]) -> str:
    """What `OPERATORS` calls a class or function."""
    # Methods of C, such as those of tensors, have no module.
    home = getattr(operator, "__module__", None) or "builtins"

    if isinstance(operator, type):
        if home.startswith("torch.nn."):
            return f"nn.{operator.__name__}"
        return f"{home}.{operator.__qualname__}"

    name = getattr(operator, "__name__", str(operator))
    package, _, _ = home.partition(".")
    if package in _HOMES:
        return name
    return f"{home}.{name}"


def operator_name(node: fx.Node) -> str:
    """Name of the operator a function or method node calls, e.g. ``add`` or ``view``."""
    target = node.target
    return target if isinstance(target, str) else name_of(target)


def module_effect(module: nn.Module) -> Effect:
    """Effect of a leaf module on channels; a subclass does not have that of its parent.

    >>> import torch
    >>> module_effect(torch.nn.BatchNorm2d(3))
    <Effect.SCALE: 3>
    """
    return OPERATORS.effect(type(module))


def per_channel_tensors(module: nn.Module, channels: int) -> tuple[str, ...]:
    """Parameters and buffers of a layer or norm with one entry per output channel, by name.

    Of torch's modules those that are known; counters and observers may have left others on it. Of
    a class from outside all whose first axis is as long as there are channels.
    """
    kind = name_of(type(module))
    is_known = kind.startswith("nn.")
    parameters = module.named_parameters(recurse=False)
    buffers = module.named_buffers(recurse=False)

    names = []
    for name, tensor in [*parameters, *buffers]:
        if is_known and name not in _PER_CHANNEL:
            continue
        if tensor.dim() > 0 and len(tensor) == channels:
            names.append(name)

    return tuple(names)


def function_effect(name: str) -> Effect:
    """Effect of a function or method on channels, by its name.

    >>> function_effect("cat")
    <Effect.MOVE: 7>
    """
    return OPERATORS.effect(name)


def _require_layer(operator: Callable[..., Any]) -> None:
    from sartor.graph._layers import LAYERS

    if isinstance(operator, type) and issubclass(operator, LAYERS):
        return

    allowed = ", ".join(f"nn.{layer.__name__}" for layer in LAYERS)
    raise UsageError(
        f"operator {name_of(operator)} cannot be Effect.MIX: "
        f"only subclasses of {allowed} have weights that are known"
    )


def _table() -> dict[str, Effect | str]:
    table: dict[str, Effect | str] = {
        # The only modules that are ever added to a network.
        "sartor.graph._select.ChannelSelect": Effect.MOVE,
        "sartor.graph._resize.Resize": Effect.MOVE,
    }

    for effect, names in _FUNCTIONS.items():
        for name in names.split():
            table[name] = effect

    for effect, names in _MODULES.items():
        for name in names.split():
            table[f"nn.{name}"] = effect

    return table


#: The effects that tracing knows. Add to them before `trace` is called.
OPERATORS = Operators("operator", _table())
