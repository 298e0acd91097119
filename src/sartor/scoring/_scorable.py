"""Whether a network can be scored on some data at all."""

from __future__ import annotations

from torch import nn

from sartor.data import Data
from sartor.tasks import CLASSIFICATION, Task, first_batch


def require_scorable(network: nn.Module, data: Data, task: Task = CLASSIFICATION) -> None:
    """Check that a network answers images as a task wants it, and that all labels belong to it.

    To be asked before anything is computed that takes long. The network is in evaluation mode
    afterwards. Raises `UsageError` and `DataError` as `first_batch` and `Task.require` do.
    """
    few = data.validation.batch(slice(0, 2))
    outputs = first_batch(network, few, "the network", task)
    task.require(outputs, data.validation.labels)
    if data.test is not None:
        task.require(outputs, data.test.labels)
