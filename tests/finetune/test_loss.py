import math
from functools import partial

import pytest
import torch

from sartor.finetune._loss import Loss
from sartor.tasks import CLASSIFICATION

IMAGES = torch.zeros(1, 1)
OUTPUTS = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
LABELS = torch.tensor([1])
loss_of = partial(Loss, CLASSIFICATION)


def test_without_a_teacher_it_is_the_cross_entropy():
    assert float(loss_of(None, 0.5, 3.0)((OUTPUTS,), IMAGES, LABELS)) == pytest.approx(math.log(4))


def test_with_a_teacher_it_is_both_by_weight():
    """The teacher's probabilities are 1/2 and 1/2: KL = ½ log(½ / ¾) + ½ log(½ / ¼)."""
    loss = Loss(
        CLASSIFICATION, lambda images: torch.zeros(len(images), 2), distill=0.25, temperature=1.0
    )
    divergence = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    wanted = 0.75 * math.log(4) + 0.25 * divergence
    assert float(loss((OUTPUTS,), IMAGES, LABELS)) == pytest.approx(wanted)


def test_the_temperature_softens_both_and_its_square_makes_up_for_it():
    """Divided by 2, the outputs' probabilities are √3 / (√3 + 1) and 1 / (√3 + 1)."""
    loss = Loss(
        CLASSIFICATION, lambda images: torch.zeros(len(images), 2), distill=1.0, temperature=2.0
    )
    root = math.sqrt(3)
    first = 0.5 * math.log(0.5 * (root + 1) / root)
    second = 0.5 * math.log(0.5 * (root + 1))
    assert float(loss((OUTPUTS,), IMAGES, LABELS)) == pytest.approx(4 * (first + second))


def test_the_teacher_is_not_trained():
    teacher = torch.nn.Linear(1, 2)
    outputs = torch.zeros(1, 2, requires_grad=True)
    loss_of(teacher, 1.0, 1.0)((outputs,), IMAGES, LABELS).backward()
    assert teacher.weight.grad is None
    assert outputs.grad is not None
