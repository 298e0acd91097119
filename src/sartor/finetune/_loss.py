"""What is minimised: the labels' cross-entropy, and the divergence from a teacher's outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartor.compression import fold
from sartor.errors import TraceError, UsageError
from sartor.graph import trace
from sartor.scoring import logits, output_shape


@dataclass(frozen=True, eq=False)
class Loss:
    """Cross-entropy, and distillation (Hinton et al. 2015) where there is a teacher.

    Attributes:
        teacher: From images to outputs; None where only the labels are learned from.
        distill: Weight of the divergence from the teacher's outputs; the labels have the rest.
        temperature: Both outputs are divided by this before they are compared.
    """

    teacher: Callable[[Tensor], Tensor] | None
    distill: float
    temperature: float

    def __call__(self, outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of outputs (images, classes) for a batch of images."""
        loss = F.cross_entropy(outputs, labels)
        if self.teacher is None:
            return loss

        with torch.no_grad():
            answer = logits(self.teacher(images))
            softened = answer.float().div(self.temperature)
            wanted = softened.softmax(-1)

        found = outputs.div(self.temperature).log_softmax(-1)
        # A mean over images, as that of the cross-entropy is.
        divergence = F.kl_div(found, wanted, reduction="batchmean")
        # Gradients of softened outputs shrink with the square of the temperature.
        scaled = divergence * self.temperature**2

        of_labels = (1 - self.distill) * loss
        of_teacher = self.distill * scaled
        return of_labels + of_teacher


def prepared_teacher(teacher: nn.Module, student: nn.Module, image: Tensor) -> nn.Module:
    """A copy of a teacher for inference, whose outputs are known to suit the student's.

    Raises `UsageError` as `require_alike` does.
    """
    copied = _folded(teacher, image)
    copied.eval()
    copied.requires_grad_(False)
    require_alike(copied, student, image)
    return copied


def require_alike(teacher: nn.Module, student: nn.Module, image: Tensor) -> None:
    """Raise `UsageError` for a teacher whose outputs have another shape than the student's.

    So does one that cannot run on a normalised ``image`` (1, …).

    >>> require_alike(nn.Linear(4, 2), nn.Linear(4, 3), torch.zeros(1, 4))
    Traceback (most recent call last):
    sartor.errors.UsageError: the teacher's outputs have shape (2,), those of the network (3,); ...
    """
    theirs = output_shape(teacher, image, "the teacher")
    mine = output_shape(student, image, "the network")
    if mine != theirs:
        raise UsageError(
            f"the teacher's outputs have shape {theirs}, those of the network {mine}; "
            "they must be the same"
        )


def _folded(teacher: nn.Module, example: Tensor) -> nn.Module:
    """A copy without batch norms where it can be traced: they are a third of a ResNet-56's time."""
    try:
        network = trace(teacher, example)
        return fold(network.module)
    except TraceError:
        return copy.deepcopy(teacher)
