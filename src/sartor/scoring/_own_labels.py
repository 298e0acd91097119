"""Labels that are the original's own outputs, for tasks that have no others."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from sartor.data import Data, Images
from sartor.tasks import Task, first_batch

_BATCH = 100


def with_own_labels(data: Data, original: nn.Module, task: Task) -> Data:
    """The same images, labelled by what the original answers where the task wants that.

    The original is in evaluation mode afterwards. Raises `UsageError` as `first_batch` does.

    >>> from sartor.tasks import Embedding
    >>> images = Images(torch.eye(2), torch.zeros(2))
    >>> data = with_own_labels(Data(images, images), nn.Identity(), Embedding())
    >>> data.validation.labels
    tensor([[1., 0.],
            [0., 1.]])
    """
    if not task.labelled_by_original:
        return data

    test = data.test
    return dataclasses.replace(
        data,
        calibration=_labelled(data.calibration, original, task),
        validation=_labelled(data.validation, original, task),
        test=None if test is None else _labelled(test, original, task),
        classes=(),
    )


def _labelled(images: Images, original: nn.Module, task: Task) -> Images:
    answers = []
    for start in range(0, len(images), _BATCH):
        stop = min(start + _BATCH, len(images))
        batch = images.batch(slice(start, stop))
        answers.append(first_batch(original, batch, "the network", task)[0])
    labels = torch.cat(answers).float().cpu()
    return dataclasses.replace(images, labels=labels)
