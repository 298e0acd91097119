"""Small networks, one per way in which channels can be coupled, with example inputs beside each."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(i, o, k=3, s=1, g=1):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = (
            conv(3, 12),
            conv(12, 20),
            conv(20, 12),
            nn.Linear(12, 5),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        x = F.relu(x + self.c(F.relu(self.b(x))))
        return self.head(x.mean((2, 3)))


class Concatenation(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = conv(3, 8), conv(3, 12), conv(28, 10), nn.Linear(10, 5)

    def forward(self, x):
        a, b = F.relu(self.a(x)), F.relu(self.b(x))
        return self.head(F.relu(self.c(torch.cat([a, b, a], 1))).amax((2, 3)))


class Depthwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.d, self.m, self.p = (
            conv(3, 12),
            conv(12, 12, g=12),
            conv(12, 24, g=12),
            conv(24, 9, 1),
        )
        self.head = nn.Linear(9, 5)

    def forward(self, x):
        x = F.relu6(self.m(F.relu6(self.d(F.relu6(self.a(x))))))
        return self.head(F.adaptive_avg_pool2d(self.p(x), 1).flatten(1))


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.g, self.b, self.head = (
            conv(3, 16),
            conv(16, 32, g=4),
            conv(32, 8, 1),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        return self.head(F.relu(self.b(F.relu(self.g(F.relu(self.a(x)))))).mean((2, 3)))


class SqueezeExcitation(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.f1, self.f2 = conv(3, 16), nn.Conv2d(16, 6, 1), nn.Conv2d(6, 16, 1)
        self.l1, self.l2, self.b, self.head = (
            nn.Linear(16, 4),
            nn.Linear(4, 16),
            conv(16, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        x = x * torch.sigmoid(self.f2(F.relu(self.f1(F.adaptive_avg_pool2d(x, 1)))))
        n, c = x.shape[:2]
        x = x * torch.sigmoid(self.l2(F.relu(self.l1(x.mean((2, 3)))))).view(n, c, 1, 1)
        return self.head(F.relu(self.b(x)).mean((2, 3)))


class Shuffle(nn.Module):
    """ShuffleNet-V2: split in halves at a fixed channel, convolve one, concatenate, shuffle."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.d, self.c, self.head = (
            conv(3, 16),
            conv(8, 8, 1),
            conv(8, 8, g=8),
            conv(16, 12, 1),
            nn.Linear(12, 5),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        left, right = x[:, :8], x[:, 8:]
        right = self.d(F.relu(self.b(right)))
        x = torch.cat([left, right], 1)
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(F.relu(self.c(x)).mean((2, 3)))


class Chunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = conv(3, 16), conv(8, 12), nn.Linear(12, 5)

    def forward(self, x):
        value, gate = F.relu(self.a(x)).chunk(2, 1)
        return self.head(F.relu(self.b(value * torch.sigmoid(gate))).mean((2, 3)))


class Flatten(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.f, self.head = (
            conv(3, 8, s=2),
            conv(8, 10, s=2),
            nn.Linear(160, 20),
            nn.Linear(20, 5),
        )

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x))))
        return self.head(F.relu(self.f(x.view(-1, 160))))


class ZeroPadShortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = (
            conv(3, 8),
            conv(8, 16, s=2),
            conv(16, 16),
            nn.Linear(16, 5),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        y = self.c(F.relu(self.b(x)))
        return self.head(F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))).mean((2, 3)))


class TwoInputsTwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), conv(1, 8), conv(8, 12)
        self.head, self.mask = nn.Linear(12, 5), nn.Conv2d(12, 1, 1)

    def forward(self, x, y):
        z = F.relu(self.c(F.relu(self.a(x) + self.b(y))))
        return {"class": self.head(z.mean((2, 3))), "mask": self.mask(z)}


class SpatialAttention(nn.Module):
    """A one-channel map multiplies all channels: it is no channel of theirs."""

    def __init__(self):
        super().__init__()
        self.a, self.m, self.b, self.head = (
            conv(3, 8),
            nn.Conv2d(8, 1, 3, 1, 1),
            conv(8, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.head(F.relu(self.b(x * torch.sigmoid(self.m(x)))).mean((2, 3)))


class SharedLayer(nn.Module):
    """One convolution called twice has one set of channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = conv(3, 8), conv(8, 8), nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.head(F.relu(self.b(F.relu(self.b(x)))).mean((2, 3)))


class SharedLayerOwnNorms(nn.Module):
    """Layers that are called twice, and their norms.

    A convolution with a norm of its own each time, one with a norm and without, and a norm behind
    two convolutions.
    """

    def __init__(self):
        super().__init__()
        self.stem, self.head = conv(3, 8), nn.Linear(8, 5)
        self.a, self.a1, self.a2 = (
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.BatchNorm2d(8),
        )
        self.b, self.b1 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c, self.d, self.e = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, x):
        x = F.relu(self.a1(self.a(self.stem(x))))
        x = F.relu(self.a2(self.a(x)))
        x = F.relu(self.b(F.relu(self.b1(self.b(x)))))
        x = F.relu(self.e(self.d(F.relu(self.e(self.c(x))))))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """Queries and keys meet in a matrix product, and weigh tokens in another."""

    def __init__(self):
        super().__init__()
        self.a, self.q, self.k, self.b, self.head = (
            conv(3, 8),
            nn.Linear(8, 6),
            nn.Linear(8, 6),
            conv(8, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x))))
        tokens = x.flatten(2).transpose(1, 2)
        weights = torch.softmax(self.q(tokens) @ self.k(tokens).transpose(1, 2), -1)
        return self.head((weights @ tokens).mean(1))


class GroupNormalized(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b, self.head = (
            nn.Conv2d(3, 8, 3),
            nn.GroupNorm(2, 8),
            conv(8, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        return self.head(F.relu(self.b(F.relu(self.n(self.a(x))))).mean((2, 3)))


class Gated(nn.Module):
    """Halves of channels that open or close the others, and a weight that is multiplied with."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.gate, self.head = conv(3, 16), conv(8, 12), nn.GLU(1), nn.Linear(7, 5)
        self.weight = nn.Parameter(torch.randn(6, 7))

    def forward(self, x):
        x = F.glu(self.b(self.gate(self.a(x))), dim=1)
        return self.head(F.relu(x.mean((2, 3)) @ self.weight))


class InstanceNormalized(nn.Module):
    """With weights, as a module and as a function, and without."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = conv(3, 8), conv(8, 6), conv(6, 8), nn.Linear(8, 5)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.scale, self.shift = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(6))

    def forward(self, x):
        x = self.b(F.relu(self.norm(self.a(x))))
        x = self.c(F.relu(F.instance_norm(x, weight=self.scale, bias=self.shift)))
        return self.head(F.relu(F.instance_norm(x)).square().mean((2, 3)))


class Sorted(nn.Module):
    """Orders channels by their values: they are kept whole."""

    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.a(x).mean((2, 3)).sort(1)[0])


class PixelShuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.up, self.b = conv(3, 16), nn.PixelShuffle(2), nn.Conv2d(4, 3, 3, 1, 1)

    def forward(self, x):
        return self.b(self.up(F.relu(self.a(x))))


class DenseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = conv(3, 8), conv(8, 6), conv(14, 6), nn.Linear(20, 5)

    def forward(self, x):
        x = F.relu(self.a(x))
        x = torch.cat([x, F.relu(self.b(x))], 1)
        x = torch.cat([x, F.relu(self.c(x))], 1)
        return self.head(x.mean((2, 3)))


class LearnedScale(nn.Module):
    """A bare parameter with one number per channel."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = conv(3, 8), conv(8, 8), nn.Linear(8, 5)
        self.gamma = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, x):
        return self.head(F.relu(self.b(self.a(x) * self.gamma)).mean((2, 3)))


class InPlace(nn.Module):
    """Changes tensors that were read before and are read again after."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = (
            nn.Conv2d(3, 12, 3, padding=1),
            conv(12, 12),
            conv(12, 8),
            nn.Linear(8, 5),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.a(x)
        y = self.b(self.relu(x))
        F.relu(y, inplace=True)
        y.mul_(0.7)
        x = self.c(x + torch.relu_(y))
        return self.head(x.relu_().mean((2, 3)))


ALL = [
    Residual,
    Concatenation,
    Depthwise,
    Grouped,
    SqueezeExcitation,
    Shuffle,
    Chunk,
    Flatten,
    ZeroPadShortcut,
    TwoInputsTwoOutputs,
    SpatialAttention,
    SharedLayer,
    SharedLayerOwnNorms,
    Attention,
    GroupNormalized,
    Gated,
    InstanceNormalized,
    PixelShuffle,
    DenseBlock,
    LearnedScale,
    InPlace,
]


def example_inputs(kind, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(batch, 3, 16, 16, generator=generator)]
    if kind is TwoInputsTwoOutputs:
        inputs.append(torch.randn(batch, 1, 16, 16, generator=generator))
    return tuple(inputs)


def randomized(model, seed=0):
    """Evaluation mode, with batch-norm statistics that differ from channel to channel."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return model.eval()
