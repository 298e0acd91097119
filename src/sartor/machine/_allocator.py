"""Memory that is freed is used again, not handed back to the system and fetched anew for every layer."""

from __future__ import annotations

import ctypes
import platform
import sys

#: Parameters of ``mallopt(3)``: above which size blocks are mapped one by one; how much free memory is kept.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST = 2**30
#: What versions of glibc that limit the first of them allow.
_LARGEST_ONCE = 2**25


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, as torch does on a GPU; False where the C library has no such setting.

    glibc maps every large activation of a forward pass anew and clears it page by page: a fifth of the time of scoring. Of
    the whole process, so a matter of programs (``sartor``, the benchmarks), not of the library.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_TRIM_THRESHOLD, _LARGEST)
    return bool(
        kept and (mallopt(_MMAP_THRESHOLD, _LARGEST) or mallopt(_MMAP_THRESHOLD, _LARGEST_ONCE))
    )
