"""Fine-tuning on another device: the same draws, the same steps."""

import pytest
import torch
from torch import nn

from sartor.data import Images
from sartor.errors import UsageError
from sartor.finetune import FinetuneOptions, finetune
from sartor.finetune._batches import batches
from sartor.finetune._training import Training
from sartor.graph import trace


@pytest.fixture
def images():
    pixels = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    return Images(pixels, torch.arange(64) % 4, mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture
def candidate(images):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 4),
    )
    return trace(model, images.normalized()[:1]).module


@pytest.mark.parametrize("augment", [(), ("mirror", "shift"), ("mix",)], ids=str)
def test_batches_are_the_same_everywhere(images, gpu, augment):
    def drawn(device):
        there = images.to(device)
        labels = torch.eye(4)[images.labels].to(device)
        generator = torch.Generator().manual_seed(1)
        return list(batches(there, labels, size=24, augment=augment, generator=generator))

    pairs = zip(drawn(gpu), drawn(torch.device("cpu")), strict=True)
    for (mine, my_labels), (theirs, their_labels) in pairs:
        assert mine.device == gpu
        torch.testing.assert_close(mine.cpu(), theirs)
        torch.testing.assert_close(my_labels.cpu(), their_labels)


def test_training_takes_the_same_steps_there(images, candidate, gpu):
    options = FinetuneOptions(epochs=2, batch=16, augment=("shift", "mix"), ema=0.5)

    def trained(device):
        training = Training.begin(candidate, images, candidate, options, device=device)
        losses = [training.epoch(number) for number in range(2)]
        return losses, training.tensors()

    losses, tensors = trained(gpu)
    expected, theirs = trained(torch.device("cpu"))
    assert losses == pytest.approx(expected, rel=1e-3)
    for name, tensor in theirs.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-2, atol=1e-3)


def test_images_stay_on_the_cpu_where_there_is_no_room(images, candidate, gpu, monkeypatch):
    monkeypatch.setattr("sartor.finetune._lessons.room_for_inputs", lambda device: 0)
    options = FinetuneOptions(epochs=1, batch=16)
    training = Training.begin(candidate, images, None, options, device=gpu)
    assert training.epoch(0) > 0


def test_a_device_that_is_not_there_is_refused(images, candidate, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"^device 'cuda:1': "):
        finetune(candidate, images, images, device="cuda:1")


def test_half_precision_is_refused_on_the_cpu(images, candidate):
    options = FinetuneOptions(epochs=1, precision="fp16")
    with pytest.raises(UsageError, match="precision is fp16, which needs a GPU"):
        finetune(candidate, images, images, options=options, device="cpu")
