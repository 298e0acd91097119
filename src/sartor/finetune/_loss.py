"""What is minimised: the loss of the task, and the divergence from a teacher's outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression import fold
from sartor.errors import TraceError
from sartor.finetune._blocks import Blocks
from sartor.graph import trace
from sartor.tasks import Outputs, Task, require_alike


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of a task, and distillation (Hinton et al. 2015) where there is a teacher.

    Attributes:
        task: What is learned.
        teacher: From images to outputs; None where only the labels are learned from.
        distill: Weight of the divergence from the teacher's outputs; the labels have the rest, and
            are not looked at where that is nothing.
        temperature: Both outputs are divided by this before they are compared, if they are class
            scores.
        blocks: Where values within the network are held against the teacher's, too; both then give
            these values beside their outputs.
    """

    task: Task
    teacher: Callable[[Tensor], Any] | None
    distill: float
    temperature: float
    blocks: Blocks | None = None

    def __call__(self, given: Any, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of what a network gives for a batch of images, ()."""
        if self.blocks is not None:
            given, values = given
        outputs = tuple(item.float() for item in self.task.outputs(given))
        if self.teacher is None:
            return self.task.loss(outputs, labels)

        with torch.no_grad():
            answer = self.teacher(images)
        if self.blocks is None:
            return self._of_outputs(outputs, answer, labels)

        answer, wanted = answer
        of_outputs = self._of_outputs(outputs, answer, labels)
        return of_outputs + self.blocks.distance(values, wanted)

    def _of_outputs(self, outputs: Outputs, answer: Any, labels: Tensor) -> Tensor:
        wanted = self.task.outputs(answer)
        divergence = self.task.distillation(outputs, wanted, self.temperature)
        if self.distill == 1:
            return divergence
        of_labels = (1 - self.distill) * self.task.loss(outputs, labels)
        of_teacher = self.distill * divergence
        return of_labels + of_teacher


def prepared_teacher(
    teacher: nn.Module, student: nn.Module, image: Tensor, task: Task
) -> nn.Module:
    """A copy of a teacher for inference, whose outputs are known to suit the student's.

    Raises `UsageError` as `require_alike` does.
    """
    copied = _folded(teacher, image)
    copied.eval()
    copied.requires_grad_(False)
    require_alike(copied, student, image, task)
    return copied


def _folded(teacher: nn.Module, example: Tensor) -> nn.Module:
    """A copy without batch norms where it can be traced: they are a third of a ResNet-56's time."""
    if isinstance(teacher, fx.GraphModule):
        return fold(teacher)
    try:
        network = trace(teacher, example)
        return fold(network.module)
    except TraceError:
        return copy.deepcopy(teacher)
