"""Small networks with norms, tokens and attention, in the ways in which these are written."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Attention and two layers, each added to what enters, with a norm in front."""

    def __init__(self, mixer, width=12, norm=nn.LayerNorm):
        super().__init__()
        self.norm1, self.mixer, self.norm2 = norm(width), mixer, norm(width)
        self.fc1, self.fc2 = nn.Linear(width, 20), nn.Linear(20, width)
        self.scale1 = nn.Parameter(torch.rand(width))
        self.scale2 = nn.Parameter(torch.rand(width))

    def forward(self, x):
        x = x + self.scale1 * self.mixer(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)))) * self.scale2


class Fused(nn.Module):
    """Queries, keys and values of one layer, told apart by an axis of their own."""

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class ByHand(Fused):
    """The same with matrix products."""

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = (q * (c // self.heads) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Apart(nn.Module):
    """Queries, keys and values of layers of their own; two heads read each key."""

    def __init__(self, width=12, heads=4):
        super().__init__()
        self.heads, self.size = heads, 5
        self.q = nn.Linear(width, heads * self.size)
        self.k = nn.Linear(width, heads // 2 * self.size)
        self.v = nn.Linear(width, heads // 2 * self.size)
        self.proj = nn.Linear(heads * self.size, width)

    def forward(self, x):
        shape = (*x.shape[:-1], -1, self.size)
        q = self.q(x).view(shape).transpose(1, 2)
        k = self.k(x).view(shape).transpose(1, 2).repeat_interleave(2, dim=1)
        v = self.v(x).view(shape).transpose(1, 2).repeat_interleave(2, dim=1)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(x.transpose(1, 2).reshape(*shape[:-2], -1).contiguous())


class Turned(Apart):
    """Queries and keys are normalised and turned by their positions."""

    def __init__(self):
        super().__init__()
        self.size = 6
        self.q, self.k, self.v = nn.Linear(12, 24), nn.Linear(12, 12), nn.Linear(12, 12)
        self.proj = nn.Linear(24, 12)
        self.norm_q, self.norm_k = nn.RMSNorm(6), nn.RMSNorm(6)
        angles = torch.rand(1, 1, 17, 3).repeat(1, 1, 1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x):
        shape = (*x.shape[:-1], -1, self.size)
        q = self.turned(self.norm_q(self.q(x).view(shape)).transpose(1, 2))
        k = self.turned(self.norm_k(self.k(x).view(shape)).transpose(1, 2))
        k = k.repeat_interleave(2, dim=1)
        v = self.v(x).view(shape).transpose(1, 2).repeat_interleave(2, dim=1)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(*shape[:-2], -1))

    def turned(self, x):
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat([-second, first], dim=-1) * self.sin


class Summed(Apart):
    """The same after Einstein's convention."""

    def forward(self, x):
        shape = (*x.shape[:-1], -1, self.size)
        q, k, v = self.q(x).view(shape), self.k(x).view(shape), self.v(x).view(shape)
        k, v = k.repeat_interleave(2, dim=2), v.repeat_interleave(2, dim=2)
        weights = torch.einsum("bnhd,bmhd->bhnm", q, k).softmax(-1)
        x = torch.einsum("bhnm,bmhd->bnhd", weights, v)
        return self.proj(x.reshape(*shape[:-2], -1))


class Factorised(Fused):
    """Keys and values meet first: their product has channels along both axes."""

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = q @ (k.softmax(dim=2).transpose(-1, -2) @ v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class Biased(Fused):
    """Every head has a table of numbers that are added by how far tokens are apart."""

    def __init__(self, width=12, heads=3):
        super().__init__(width, heads)
        self.table = nn.Parameter(torch.rand(33, heads))
        places = torch.arange(17)
        self.register_buffer("apart", places[:, None] - places + 16)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        weights = (weights + self.bias()).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))

    def bias(self):
        table = self.table[self.apart.view(-1)].view(17, 17, -1)
        return table.permute(2, 0, 1).contiguous().unsqueeze(0)


class BiasedWhole(Biased):
    """The same given to torch's attention."""

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(*qkv.unbind(0), attn_mask=self.bias())
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class Shared(Apart):
    """Queries of several heads share keys and values, as torch has it."""

    def forward(self, x):
        shape = (*x.shape[:-1], -1, self.size)
        q, k, v = (part(x).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
        x = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.proj(x.transpose(1, 2).reshape(*shape[:-2], -1))


class OneKey(nn.Module):
    """All heads have the same keys and values."""

    def __init__(self, width=12, heads=4, size=5):
        super().__init__()
        self.heads, self.size = heads, size
        self.q, self.kv = nn.Linear(width, heads * size), nn.Linear(width, 2 * size)
        self.proj = nn.Linear(heads * size, width)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(x).unsqueeze(1).chunk(2, dim=-1)
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, self.heads * self.size))


class Windows(Fused):
    """Images whose windows are attended to one by one, some with a mask."""

    def __init__(self, width=12, heads=3):
        super().__init__(width, heads)
        self.table = nn.Parameter(torch.rand(heads, 4, 4))
        self.register_buffer("mask", torch.randint(-9, 1, (4, 4, 4)).float())

    def forward(self, x):
        b, _, c = x.shape
        token, x = x[:, :1], x[:, 1:].view(b, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 4, c)
        qkv = self.qkv(x).reshape(x.shape[0], 4, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = q @ k.transpose(-2, -1) + self.table.unsqueeze(0)
        weights = weights.view(b, 4, self.heads, 4, 4) + self.mask.unsqueeze(1).unsqueeze(0)
        weights = weights.view(-1, self.heads, 4, 4).softmax(-1)
        x = self.proj((weights @ v).transpose(1, 2).reshape(-1, 4, c))
        x = x.view(b, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, 16, c)
        return torch.cat([token, x], 1)


class Attention(nn.Module):
    """As torch has it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class Encoder(nn.Module):
    """Patches, a class token, positions, blocks, a norm and a head."""

    def __init__(self, *blocks, width=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Norm2d(nn.LayerNorm):
    """A layer norm over the channels of images."""

    def forward(self, x):
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, 12, 4, 4), Norm2d(12)
        self.deep, self.norm1 = nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.LayerNorm(12)
        self.fc1, self.fc2 = nn.Linear(12, 24), nn.Linear(24, 12)
        self.gamma = nn.Parameter(torch.rand(12, 1, 1))
        self.down, self.norm2 = nn.Conv2d(12, 16, 2, 2), nn.GroupNorm(4, 16)
        self.norm3, self.head = nn.GroupNorm(1, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.norm0(self.stem(x))
        y = self.norm1(self.deep(x).permute(0, 2, 3, 1))
        y = self.fc2(F.gelu(self.fc1(y))).permute(0, 3, 1, 2)
        x = x + y.mul(self.gamma)
        x = self.norm3(F.relu(self.norm2(self.down(x))))
        return self.head(x.mean([-2, -1]))


class RootMeanSquare(nn.Module):
    """A norm that is written out."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width))

    def forward(self, x):
        x = x.to(torch.float32)
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6))


class ChannelsFirst(nn.Module):
    """A layer norm over the channels of images that is written out."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class Image(nn.Module):
    """Patches that are taken apart and put together again, between norms that are written out."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 12, 3, 1, 1), ChannelsFirst(12)
        self.mix, self.up = nn.Conv2d(12, 24, 1), nn.PixelShuffle(2)
        self.out, self.head = nn.Conv2d(6, 8, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.norm(self.stem(x))
        x = F.fold(F.unfold(x, 2, stride=2), x.shape[2:], 2, stride=2)
        x = x - x.max(dim=3, keepdim=True).values + x.amax(2, keepdim=True)
        return self.head(F.relu(self.out(self.up(self.mix(x)))).mean((2, 3)))


class Convolutional(nn.Module):
    """Attention of convolutions: each head has queries and keys of half the width of its values."""

    def __init__(self):
        super().__init__()
        self.stem, self.qkv = nn.Conv2d(3, 12, 4, 4), nn.Conv2d(12, 24, 1)
        self.near, self.proj = nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.Conv2d(12, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.stem(x)
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).view(b, 3, c * 2 // 3, h * w).split([2, 2, 4], dim=2)
        weights = (q.transpose(-2, -1) @ k * 0.7).softmax(-1)
        y = (v @ weights.transpose(-2, -1)).view(b, c, h, w) + self.near(v.reshape(b, c, h, w))
        return self.head(F.relu(x + self.proj(y)).mean((2, 3)))


class Words(nn.Module):
    """Tokens of a text, with positions and a norm, and a block."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50, 12), nn.Embedding(30, 12)
        self.norm, self.block = nn.LayerNorm(12), Block(Apart())
        self.head = nn.Linear(12, 5)
        self.register_buffer("ids", torch.arange(30)[None])

    def forward(self, tokens, scores=None, **others):
        x = self.words(tokens) + self.places(self.ids[:, : tokens.shape[1]])
        return self.head(self.block(self.norm(x)).mean(1))


def vision(mixer):
    return lambda: Encoder(*[Block(mixer()) for _ in range(2)])


#: Networks by name.
ALL = {
    "fused": vision(Fused),
    "by hand": vision(ByHand),
    "apart": vision(Apart),
    "turned": vision(Turned),
    "summed": vision(Summed),
    "factorised": vision(Factorised),
    "biased": vision(Biased),
    "biased whole": vision(BiasedWhole),
    "shared": vision(Shared),
    "one key": vision(OneKey),
    "windows": vision(Windows),
    "multihead": vision(Attention),
    "torch's own": lambda: Encoder(
        nn.TransformerEncoderLayer(12, 3, 20, batch_first=True, norm_first=True)
    ),
    "convnext": ConvNeXt,
    "convolutional": Convolutional,
    "words": Words,
    "root mean square": lambda: Encoder(
        Block(Apart(), norm=RootMeanSquare), Block(Fused(), norm=RootMeanSquare)
    ),
    "image": Image,
}


def example(name, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if name == "words":
        return torch.randint(0, 50, (batch, 9), generator=generator)
    return torch.randn(batch, 3, 16, 16, generator=generator)
