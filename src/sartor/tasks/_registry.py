"""All tasks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.registry import Registry

if TYPE_CHECKING:
    from sartor.tasks._base import Task

#: Every `Task` by its name; ``package.module:OBJECT`` is a name too.
TASKS: Registry[Task] = Registry(
    "task",
    {
        "classification": "sartor.tasks._classification:CLASSIFICATION",
        "classification-top5": "sartor.tasks._classification:TOP5",
        "multi-label": "sartor.tasks._multi_label:MULTI_LABEL",
        "segmentation": "sartor.tasks._segmentation:SEGMENTATION",
        "regression": "sartor.tasks._regression:REGRESSION",
        "detection": "sartor.tasks._detection:DETECTION",
        "embedding": "sartor.tasks._embedding:EMBEDDING",
    },
)


def as_task(task: str | Task) -> Task:
    """The task of a name, or the object itself. Raises `UsageError` for a name nobody has.

    >>> as_task("classification").metric
    'top-1'
    """
    return TASKS.get(task) if isinstance(task, str) else task
