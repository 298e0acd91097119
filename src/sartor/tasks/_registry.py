"""All tasks by name."""

from __future__ import annotations

from sartor.registry import Registry
from sartor.tasks._base import Task

#: Every `Task` by its name; ``package.module:OBJECT`` is a name too.
TASKS: Registry[Task] = Registry(
    "task",
    {
        "classification": "sartor.tasks._classification:CLASSIFICATION",
        "classification-top5": "sartor.tasks._classification:TOP5",
    },
)


def as_task(task: str | Task) -> Task:
    """The task of a name, or the object itself. Raises `UsageError` for a name nobody has.

    >>> as_task("classification").metric
    'top-1'
    """
    return TASKS.get(task) if isinstance(task, str) else task
