import pytest
import torch
from torch import fx, nn

from sartor.compression.modules import winograd_layer, with_winograd
from sartor.compression.modules._winograd import WinogradConv2d


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (1, 3), (4, 13)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_the_convolution(height, width, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 136, 3, padding=1, bias=bias)
    fast = winograd_layer(conv)
    assert isinstance(fast, WinogradConv2d)
    with torch.no_grad():
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(3, 128, height, width).contiguous(memory_format=layout)
            exact, found = conv.double()(x.double()), fast(x)
            assert found.shape == exact.shape
            assert float((found - exact).abs().max()) < 3e-5 * float(exact.abs().max())
            conv.float()


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(64, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, padding="same"),
        nn.Conv2d(128, 128, 3, padding=1, stride=2),
        nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        nn.Conv2d(128, 128, (1, 3), padding=(0, 1)),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(256, 256, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1).bfloat16(),
        nn.Linear(128, 128),
    ],
)
def test_other_layers_stay_as_they_are(conv):
    assert winograd_layer(conv) is conv


def test_a_network_is_copied():
    class Stem(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (
                nn.Conv2d(3, 128, 3, padding=1),
                nn.Conv2d(128, 128, 3, padding=1),
            )
            self.third = nn.Conv2d(128, 128, 3, padding=1)

        def forward(self, x):
            x = self.second(self.second(self.first(x).relu()).relu())
            return self.third(x) * self.third.weight.abs().mean()

    network, x = fx.symbolic_trace(Stem()), torch.randn(2, 3, 12, 12)
    fast = with_winograd(network)
    assert isinstance(fast.second, WinogradConv2d)
    assert isinstance(fast.third, nn.Conv2d)  # whose weight is read elsewhere too
    assert isinstance(network.second, nn.Conv2d)
    with torch.no_grad():
        assert torch.allclose(fast(x), network(x), atol=1e-5)
