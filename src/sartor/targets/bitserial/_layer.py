"""A layer of few bits as one operator of an ONNX file."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sartor.compression import ActivationQuantizer, QuantizedWeight, rounded_once
from sartor.compression.modules import bias_of

#: Of operators that there are kernels for here, and the one of this layer.
DOMAIN = "sartor"
OPERATOR = f"{DOMAIN}::BitSerial"
#: Output channels that stand together, and input channels of a word (`kernel.c`).
_LANES = 8
_WORD = 64


class BitSerialLayer(nn.Module):
    """A quantized layer and the rounding of what it reads, exported as the operator `OPERATOR`.

    Args:
        layer: A convolution without groups, or a linear layer, with a rounded weight.
        quantizer: Of its input.
    """

    planes: Tensor
    scale: Tensor
    offset: Tensor
    shift: Tensor

    def __init__(self, layer: nn.Module, quantizer: ActivationQuantizer) -> None:
        super().__init__()
        assert isinstance(layer, QuantizedWeight)
        self.plain = rounded_once(layer)
        self.largest = 2**quantizer.bits - 1
        self.input_scale = quantizer.scale
        self.input_zero_point = quantizer.zero_point
        self.attributes = _attributes(layer, quantizer)
        #: Of what it wrote last, with a free batch.
        self.sizes: list[int | None] = []

        integers = layer.integers().to(torch.int64)
        half = 2 ** (layer.weight_bits - 1)
        self.register_buffer("planes", _planes(integers + half, layer.weight_bits))

        step = layer.weight_scale * quantizer.scale
        zero_point = layer.weight_zero_point
        self.register_buffer("scale", step)
        self.register_buffer("offset", (half + zero_point).float())

        # What the zero point of the input adds, at every place alike.
        real = integers.flatten(1) - zero_point[:, None]
        constant = -real.sum(1) * quantizer.zero_point * step
        bias = bias_of(layer)
        self.register_buffer("shift", constant if bias is None else constant + bias)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives for x, which is not rounded."""
        tensors = (self.planes, self.scale, self.offset, self.shift)
        result: Tensor = _Exported.apply(self, x, *tensors)  # type: ignore[no-untyped-call]
        return result


class _Exported(torch.autograd.Function):
    """What is traced: computed by the layer, written as the operator."""

    @staticmethod
    def forward(_ctx: Any, module: BitSerialLayer, x: Tensor, *_tensors: Tensor) -> Tensor:
        rounded = torch.fake_quantize_per_tensor_affine(
            x, module.input_scale, module.input_zero_point, 0, module.largest
        )
        result: Tensor = module.plain(rounded)
        module.sizes = [None, *result.shape[1:]]
        return result

    @staticmethod
    def symbolic(g: Any, module: BitSerialLayer, x: Any, *tensors: Any) -> Any:
        result = g.op(OPERATOR, x, *tensors, **module.attributes)
        # The exporter cannot know them, and says so where it is not told.
        result.setType(x.type().with_sizes(module.sizes))
        return result


def _attributes(layer: nn.Module, quantizer: ActivationQuantizer) -> dict[str, int | float]:
    """Of the operator; a letter behind a name says of which kind it is."""
    assert isinstance(layer, QuantizedWeight)
    outputs, inputs, *kernel = layer.weight.shape
    numbers = {
        "in_channels": inputs,
        "out_channels": outputs,
        "weight_bits": layer.weight_bits,
        "activation_bits": quantizer.bits,
        "channels_last": int(not kernel),
    }
    height, width = kernel or (1, 1)
    stride_y, stride_x = getattr(layer, "stride", (1, 1))
    dilation_y, dilation_x = getattr(layer, "dilation", (1, 1))
    left, right, top, bottom = _padding(layer)
    numbers |= {
        "kernel_height": height,
        "kernel_width": width,
        "stride_y": stride_y,
        "stride_x": stride_x,
        "dilation_y": dilation_y,
        "dilation_x": dilation_x,
        "pad_top": top,
        "pad_left": left,
        "pad_bottom": bottom,
        "pad_right": right,
    }
    attributes: dict[str, int | float] = {f"{name}_i": value for name, value in numbers.items()}
    attributes["scale_f"] = float(quantizer.scale)
    attributes["zero_f"] = float(quantizer.zero_point)
    return attributes


def _padding(layer: nn.Module) -> tuple[int, int, int, int]:
    """Zeros left and right, above and below."""
    if isinstance(layer, nn.Linear):
        return (0, 0, 0, 0)
    # PyTorch keeps it in this order, whether it was given as a word or in numbers.
    left, right, top, bottom = cast("list[int]", layer._reversed_padding_repeated_twice)
    return (left, right, top, bottom)


def _planes(numbers: Tensor, bits: int) -> Tensor:
    """Bits of unsigned weights (outputs, inputs, …) as words of the input's channels.

    (blocks of outputs, places of the kernel, words, bits, outputs of a block), int64.
    """
    outputs, inputs, *_ = numbers.shape
    by_place = numbers.flatten(2) if numbers.dim() > 2 else numbers[..., None]
    padding = (0, 0, 0, -inputs % _WORD, 0, -outputs % _LANES)
    padded = F.pad(by_place, padding)
    rows, columns, places = padded.shape

    apart = padded.view(rows // _LANES, _LANES, columns // _WORD, _WORD, places)
    planes = []
    for bit in range(bits):
        ones = (apart >> bit) & 1
        shifted = ones << torch.arange(_WORD)[:, None]
        planes.append(shifted.sum(3))
    # (bits, blocks, lanes, words, places)
    return torch.stack(planes).permute(1, 4, 3, 0, 2).contiguous()
