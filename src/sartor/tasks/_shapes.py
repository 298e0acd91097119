"""What networks answer, before anything is computed that takes long."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sartor.errors import UsageError
from sartor.graph import parts_of
from sartor.tasks._base import Outputs, Task


def first_tensor(output: Any) -> Tensor:
    """The first tensor of what a network returns, however it is nested.

    Raises `UsageError` for an output without a tensor.

    >>> first_tensor({"logits": (torch.zeros(2, 10), torch.zeros(2, 64))}).shape
    torch.Size([2, 10])
    """
    found = _first_tensor(output)
    if found is None:
        raise UsageError(
            f"the network returns {type(output).__name__} without a tensor; allowed is a tensor, "
            "or a tuple, list, dict or dataclass whose first tensor is what counts"
        )
    return found


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    for item in parts_of(output):
        tensor = _first_tensor(item)
        if tensor is not None:
            return tensor
    return None


@torch.no_grad()
def first_batch(network: nn.Module, images: Tensor, name: str, task: Task) -> Outputs:
    """Outputs for some normalised ``images`` (count, …), one row for each in every tensor.

    The network is in evaluation mode afterwards. Raises `UsageError`, which calls it ``name``, for
    a network that cannot run on such images or does not answer each of them.
    """
    # A network without parameters runs where the images are.
    parameter = next(network.parameters(), images)
    try:
        network.eval()
        output = network(images.to(parameter.device))
    except Exception as error:  # somebody's forward pass may raise anything
        shape = tuple(images.shape[1:])
        raise UsageError(f"{name} cannot run on images of shape {shape}: {error}") from error

    outputs = task.outputs(output)
    count = len(images)
    for item in outputs:
        shape = tuple(item.shape)
        if not shape or shape[0] != count:
            raise UsageError(
                f"{name} returns a tensor of shape {shape} for {count} images; allowed is one row "
                "for each image"
            )
    return outputs


def output_shapes(
    network: nn.Module, images: Tensor, name: str, task: Task
) -> tuple[tuple[int, ...], ...]:
    """Shapes of the outputs of one image. Raises `UsageError` as `first_batch` does."""
    outputs = first_batch(network, images, name, task)
    return tuple(tuple(item.shape[1:]) for item in outputs)


def require_alike(teacher: nn.Module, student: nn.Module, image: Tensor, task: Task) -> None:
    """Raise `UsageError` for a teacher whose outputs have another shape than the student's.

    So does one that cannot run on a normalised ``image`` (1, …).

    >>> from sartor.tasks import CLASSIFICATION
    >>> require_alike(nn.Linear(4, 2), nn.Linear(4, 3), torch.zeros(1, 4), CLASSIFICATION)
    Traceback (most recent call last):
    sartor.errors.UsageError: the teacher's outputs have shape (2,), those of the network (3,); ...
    """
    theirs = output_shapes(teacher, image, "the teacher", task)
    mine = output_shapes(student, image, "the network", task)
    if mine != theirs:
        written = " and ".join(map(str, theirs))
        expected = " and ".join(map(str, mine))
        raise UsageError(
            f"the teacher's outputs have shape {written}, those of the network {expected}; "
            "they must be the same"
        )
