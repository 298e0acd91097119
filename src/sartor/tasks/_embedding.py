"""A direction for each sample, by which samples are compared."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError, UsageError
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._base import Outputs, Task
from sartor.tasks._divergence import bounded
from sartor.tasks._shapes import first_tensor


class Embedding(Task):
    """Vectors (samples, dimensions) that are compared by their angle.

    What is right is what the original says, so that the data needs no labels; those that it has do
    not count. The metric is the mean cosine of the angle between both, 0 where that is obtuse. Of
    several outputs the first tensor counts.

    >>> import torch
    >>> Embedding().hits((torch.tensor([[0.0, 2.0]]),), torch.tensor([[0.0, 1.0]]))
    tensor([1.])
    """

    name = "embedding"
    metric = "cosine"
    hub_name = "feature-extraction"
    augmentations: tuple[Augmentation, ...] = ()
    labelled_by_original = True

    def outputs(self, output: Any) -> Outputs:
        """The vectors: the first tensor, however it is nested."""
        return (first_tensor(output),)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """Vectors of at least two dimensions, and labels that are the original's."""
        shape = tuple(outputs[0].shape[1:])
        if len(shape) != 1 or shape[0] < 2:
            raise UsageError(
                f"the network's outputs have shape {shape}; for embedding they must be vectors of "
                "at least two dimensions, (dimensions,)"
            )
        wanted = tuple(labels.shape[1:])
        if wanted != shape:
            raise DataError(
                f"labels have shape {wanted} each, vectors {shape}; for embedding they must be the "
                "original's vectors, as sartor.scoring.with_own_labels makes them"
            )

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """1 − cosine."""
        return bounded(1 - _cosines(candidate[0], original[0]))

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Mean of 1 − cosine."""
        return (1 - _cosines(outputs[0], labels)).mean()

    def hits(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """The cosine, at least 0; 0 of what is no number."""
        return _cosines(outputs[0], labels).nan_to_num(0.0).clamp(0.0, 1.0)


def _cosines(found: Tensor, wanted: Tensor) -> Tensor:
    return F.cosine_similarity(found.float(), wanted.float(), dim=1)


EMBEDDING = Embedding()
