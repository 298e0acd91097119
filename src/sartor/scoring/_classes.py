"""Class scores and labels: what networks and data must have so that accuracy means something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sartor.data import Data
from sartor.errors import DataError, UsageError


def logits(output: Any) -> Tensor:
    """The class scores of what a network returns: its first tensor, however it is nested.

    Raises `UsageError` for an output without a tensor.

    >>> logits({"logits": (torch.zeros(2, 10), torch.zeros(2, 64))}).shape
    torch.Size([2, 10])
    """
    found = _first_tensor(output)
    if found is None:
        raise UsageError(
            f"the network returns {type(output).__name__} without a tensor; allowed are class "
            "scores, or a tuple, list or dict whose first tensor they are"
        )
    return found


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    if not isinstance(output, list | tuple):
        return None

    for item in output:
        tensor = _first_tensor(item)
        if tensor is not None:
            return tensor
    return None


@torch.no_grad()
def output_shape(network: nn.Module, images: Tensor, name: str) -> tuple[int, ...]:
    """Shape of the class scores of one of some normalised ``images`` (count, …).

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

    scores = logits(output)
    shape = tuple(scores.shape)
    count = len(images)
    if not shape or shape[0] != count:
        raise UsageError(
            f"{name} returns a tensor of shape {shape} for {count} images; allowed is one row for "
            "each image"
        )
    return shape[1:]


def require_classes(shape: Sequence[int], labels: Tensor) -> int:
    """Number of classes of outputs of a ``shape`` (without the batch), to which ``labels`` belong.

    Raises `UsageError` for outputs that are no scores of at least two classes, `DataError` for
    labels that are none of these.

    >>> require_classes((10,), torch.tensor([0, 9, 3]))
    10
    """
    if len(shape) != 1 or shape[0] < 2:
        raise UsageError(
            f"the network's outputs have shape {tuple(shape)}; allowed are scores of at least two "
            "classes, shape (classes,), or anything with a measure of your own: "
            "compress(model, evaluate=...)"
        )

    (classes,) = shape
    low = int(labels.min())
    high = int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"labels range from {low} to {high}; allowed are the network's classes, "
            f"0 to {classes - 1}"
        )
    return classes


def require_scorable(network: nn.Module, data: Data) -> None:
    """Check that a network answers images with scores of classes to which all labels belong.

    To be asked before anything is computed that takes long. The network is in evaluation mode
    afterwards. Raises `UsageError` and `DataError` as `output_shape` and `require_classes` do.
    """
    few = data.validation.slice(0, 2).normalized()
    shape = output_shape(network, few, "the network")
    require_classes(shape, data.validation.labels)
    if data.test is not None:
        require_classes(shape, data.test.labels)
