"""How a process handles memory that it has freed."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h

_LARGE = 1 << 20
"""Bytes from which a block is asked of the system and given back to it: less than half of a lead of 30 minutes."""

_ARENAS = 2
"""Heaps that all threads share; where a process has more than eight already, the C library keeps to those it has."""


def release_freed_memory() -> bool:
    """Let this process give large blocks back to the system as soon as they are freed.

    A report goes over many arrays of some megabytes. Left to itself, the C library of Linux keeps such blocks in heaps
    of its own (the size from which it does not grows with what has been freed, up to 32 MB), one heap to a thread, and
    what is freed between two blocks in use is lost to everything else: several hundred megabytes by the end.

    It holds from then on.

    Returns:
        Whether it was asked for; other C libraries than glibc are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    settings = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE), (_M_ARENA_MAX, _ARENAS))
    return all(mallopt(name, value) == 1 for name, value in settings)
