"""Release of freed memory to the operating system."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h

_LARGE = 1 << 20
"""Smallest size in bytes of a block that is requested from the system and returned to it: less than half of a lead of
30 minutes."""

_ARENAS = 2
"""Heaps that all threads share. A process that already has more than eight keeps them."""


def release_freed_memory() -> bool:
    """Make this process return large blocks to the system as soon as they are freed, from now on.

    A report goes over many arrays of some megabytes. By default, the C library of Linux keeps such blocks in heaps of
    its own, one per thread; the smallest size that it does not keep grows with what has been freed, up to 32 MB. Blocks
    freed between two blocks in use cannot be used otherwise: several hundred megabytes by the end.

    Returns:
        Whether the settings were accepted; C libraries other than glibc are left unchanged.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    settings = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE), (_M_ARENA_MAX, _ARENAS))
    return all(mallopt(name, value) == 1 for name, value in settings)
