import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sartor.compression.modules._dtype as dtype_module
from sartor import Images
from sartor.compression import CompressOptions, Compressor, fastest_dtype
from sartor.graph import trace
from sartor.policy import Policy
from sartor.scoring import ImageScorer


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.between(F.relu(self.b(F.relu(self.a(x))))))

    def between(self, x):
        return x.mean((2, 3))


class FloatHead(Base):
    def between(self, x):
        return x.float().mean((2, 3))


class InitialState(Base):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(16, 16, batch_first=True)

    def between(self, x):
        sequence = x.mean(2).transpose(1, 2)
        outputs, _ = self.rnn(sequence, torch.zeros(1, x.shape[0], 16))
        return outputs[:, -1]


class Cancelling(Base):
    """The difference of two large numbers: eight bits of mantissa leave nothing of it."""

    def between(self, x):
        x = x.mean((2, 3))
        return 1e4 * ((x + 1e4) - 1e4)


@pytest.fixture
def bf16(monkeypatch):
    """A processor that is fast in bf16, whatever this one is."""
    monkeypatch.setattr(dtype_module, "processor_is_fast_in_bf16", lambda: True)


def traced(kind):
    torch.manual_seed(0)
    return trace(kind().eval(), torch.randn(1, 3, 12, 12))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Base, torch.bfloat16),
        (FloatHead, torch.float32),
        (InitialState, torch.float32),
        (Cancelling, torch.float32),
    ],
)
def test_networks_that_fail_or_deviate_in_bf16_stay_in_fp32(bf16, kind, expected):
    network = traced(kind).module
    assert fastest_dtype(network, (torch.randn(4, 3, 12, 12),)) is expected


def test_a_processor_without_bf16_computes_in_fp32(monkeypatch):
    monkeypatch.setattr(dtype_module, "processor_is_fast_in_bf16", lambda: False)
    assert fastest_dtype(traced(Base).module, (torch.randn(4, 3, 12, 12),)) is torch.float32


def test_a_torch_without_its_private_questions_is_not_fast_in_bf16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not dtype_module.processor_is_fast_in_bf16()


def test_trying_leaves_the_random_generator_alone(bf16):
    network, images = traced(Base).module, torch.randn(4, 3, 12, 12)
    before = torch.random.get_rng_state()
    fastest_dtype(network, (images,))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", [FloatHead, InitialState])
def test_networks_with_fp32_tensors_of_their_own_are_refitted_and_scored(bf16, kind):
    network, pixels = traced(kind), torch.randn(24, 3, 12, 12)
    images = Images(pixels, torch.arange(24) % 4)
    compressor = Compressor(network, pixels, CompressOptions(images=16, positions=4))
    candidate = compressor.candidate(Policy({"a": 0.5}))
    assert fastest_dtype(network.module, (pixels,)) is torch.float32
    scorer = ImageScorer.in_fastest_dtype(network.module, images, compare=True)
    assert scorer.score(candidate).images == 24
