"""One batch for each core, where that is faster than all cores on one batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results of a function for all items, in their order.

    They are computed by as many threads as torch is set to use, each of which uses one core.
    Threads have settings of their own: the function itself must turn gradients off.

    >>> map_on_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(item) for item in items]

    # Otherwise each would use all cores itself.
    executor = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with executor as pool:
            results = pool.map(function, items)
            return list(results)
    finally:
        # A thread that begins later takes over what was set last in any of them.
        torch.set_num_threads(threads)


def crowding(threads: int, load: float, cores: int) -> str:
    """That threads will wait for each other on a busy machine; empty where they will not.

    Threads that compute one small layer together spin until the last has done its part: where
    others use the cores, that takes longer than computing alone. How many there are is never
    changed unasked, because sums of floats depend on it.

    >>> crowding(threads=2, load=0.4, cores=2), crowding(threads=1, load=9.0, cores=2)
    ('', '')
    >>> crowding(threads=2, load=8.3, cores=2)
    'the machine is busy (load 8.3 on 2 cores): one thread is likely faster than 2, --threads 1'
    """
    free = cores - load
    if threads == 1 or free >= threads / 2:
        return ""
    return (
        f"the machine is busy (load {load:.1f} on {cores} cores): one thread is likely faster than "
        f"{threads}, --threads 1"
    )


def crowding_now() -> str:
    """`crowding` of this process on this machine; empty where its load is not known."""
    # Windows has no such number.
    if not hasattr(os, "getloadavg"):
        return ""
    load, _, _ = os.getloadavg()
    return crowding(torch.get_num_threads(), load, os.cpu_count() or 1)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads for a while; None leaves it as it is.

    Sums of floats depend on it.
    """
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)

    try:
        yield
    finally:
        torch.set_num_threads(before)
