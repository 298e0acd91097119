"""Memory that is freed is used again, not handed back to the system and fetched anew."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

# Parameters of mallopt(3): the size above which blocks are mapped one by one, and how much free
# memory is kept.
_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD = -1
#: Blocks up to this are kept: activations of a hundred small images, or of thousands that layers
#: are refitted from. Mapped anew each time they cost a tenth of a search.
_KEPT_BLOCK = 2**28
# Versions of glibc that limit the threshold of mapping allow at most this.
_KEPT_BLOCK_LIMITED = 2**25
#: What is freed at the end of the heap is given back above this: what is kept may not be all that
#: was ever needed at once.
_KEPT_IN_ALL = 2**29


def give_freed_memory_back() -> None:
    """Return what was freed to the system, before something begins that needs other blocks.

    It takes milliseconds; where the C library cannot do it, nothing happens.
    """
    if _is_glibc():
        # Pages in the middle of the heap too, where small blocks that live on keep them.
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Let the process keep the memory it frees; False where the C library has no such setting.

    glibc maps every large activation of a forward pass anew and clears it page by page: a fifth of
    the time of scoring. The setting holds for the whole process, so only programs (``sartor``, the
    benchmarks) may call this, never the library.
    """
    if not _is_glibc():
        return False

    # None is the process itself, and with it the C library that it uses.
    mallopt = ctypes.CDLL(None).mallopt
    if not mallopt(_TRIM_THRESHOLD, _KEPT_IN_ALL):
        return False
    if mallopt(_MMAP_THRESHOLD, _KEPT_BLOCK):
        return True
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT_BLOCK_LIMITED))


@functools.cache
def _is_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
