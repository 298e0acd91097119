"""Convolutions with fewer multiplications, for networks that are only evaluated."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sartor.compression.modules._copies import shallow_copy

#: Fewest channels, in and out, from which on less arithmetic pays for the transforms: 1.4 times
#: as fast at 128 channels, 1.8 times at 512, 0.8 times at 64 (AVX2, fp32).
_FEWEST = 128
#: Outputs of a tile in each direction, and inputs.
_OUT = 4
_IN = 6
#: Of Lavin & Gray (2016), section 4.3: transforms of a tile's inputs, of weights, and back.
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_WEIGHT = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
    dtype=torch.float64,
).div(24)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    dtype=torch.float64,
)
#: The same for whole tiles, rows and columns at once.
_TO_TILES = torch.kron(_INPUT, _INPUT).float()
_TO_WEIGHTS = torch.kron(_WEIGHT, _WEIGHT).float()
_FROM_TILES = torch.kron(_OUTPUT, _OUTPUT).float()


def with_winograd(network: fx.GraphModule) -> fx.GraphModule:
    """A copy that computes the same within fp32's rounding, with fewer multiplications.

    Convolutions change where that is faster; those whose weights the network also reads itself
    stay as they are.
    """
    fast = shallow_copy(network)
    attributes = [str(node.target) for node in network.graph.nodes if node.op == "get_attr"]
    read = {attribute.rpartition(".")[0] for attribute in attributes}
    for name, module in network.named_modules():
        quick = winograd_layer(module)
        if name not in read and quick is not module:
            fast.set_submodule(name, quick)
    return fast


def winograd_layer(module: nn.Module) -> nn.Module:
    """The fast form of one module: itself, where there is none."""
    if not isinstance(module, nn.Conv2d) or module.weight.dtype != torch.float32:
        return module
    is_plain = module.groups == 1 and module.padding_mode == "zeros"
    is_dense = module.stride == (1, 1) and module.dilation == (1, 1)
    is_three_by_three = module.kernel_size == (3, 3) and module.padding == (1, 1)
    is_wide = min(module.in_channels, module.out_channels) >= _FEWEST
    if is_plain and is_dense and is_three_by_three and is_wide:
        return WinogradConv2d(module)
    return module


class WinogradConv2d(nn.Module):
    """A 3×3 convolution with stride 1 and padding 1, tile by tile.

    36 products give 4×4 outputs, not 144: Winograd's F(4×4, 3×3). Images, (images, channels,
    height, width), may have any height and width. Relative errors are about 1e-6, ten times those
    of the usual way. For evaluation: it shares no weights with the convolution it is made of.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach().permute(2, 3, 1, 0).reshape(9, -1)
        transformed = _TO_WEIGHTS @ weight
        self.transformed = transformed.view(_IN**2, conv.in_channels, conv.out_channels)
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(images, channels in, height, width) to (images, channels out, height, width)."""
        images, channels, height, width = x.shape
        rows = -(-height // _OUT)
        columns = -(-width // _OUT)
        tiles = _tiles(x, rows, columns)
        transformed = (_TO_TILES @ tiles).view(_IN**2, -1, channels)
        products = torch.bmm(transformed, self.transformed)
        outputs = _FROM_TILES @ products.view(_IN**2, -1)

        by_tile = outputs.view(_OUT, _OUT, images, rows, columns, -1)
        by_pixel = by_tile.permute(2, 3, 0, 4, 1, 5)
        whole = self._with_bias(by_pixel).view(images, rows * _OUT, columns * _OUT, -1)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def _with_bias(self, outputs: Tensor) -> Tensor:
        """In the order of the pixels in memory."""
        ordered = outputs.new_empty(outputs.shape)
        if self.bias is None:
            return ordered.copy_(outputs)
        return torch.add(outputs, self.bias, out=ordered)


def _tiles(x: Tensor, rows: int, columns: int) -> Tensor:
    """Overlapping tiles of padded images, (36, images × rows × columns × channels)."""
    images, channels, height, width = x.shape
    padding = (0, 0, 1, columns * _OUT - width + 1, 1, rows * _OUT - height + 1)
    padded = F.pad(x.permute(0, 2, 3, 1), padding)
    image, down, right, channel = padded.stride()
    shape = (_IN, _IN, images, rows, columns, channels)
    steps = (down, right, image, _OUT * down, _OUT * right, channel)
    return padded.as_strided(shape, steps).reshape(_IN**2, -1)
