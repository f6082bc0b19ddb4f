"""What the C library does with memory that is freed; it keeps most of it for later, by itself."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_NEVER_BYTES = 1 << 30
_LARGE_BYTES = 128 << 10


def give_back() -> None:
    """Return to the kernel what is free within the heap."""
    with contextlib.suppress(AttributeError):  # a C library that has no such call
        ctypes.CDLL(None).malloc_trim(0)


def keep_large_blocks() -> None:
    """From now on large blocks are part of the heap, and kept for the next that is as large.

    For a process that computes all the time: fresh pages for each tensor took a fifth of a pass.
    """
    with contextlib.suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _NEVER_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER_BYTES)


def large_blocks_apart() -> None:
    """From now on large blocks are no part of the heap, and go back to the kernel when freed.

    Otherwise they lie in holes that imports have left in the heap, and stay with the process: an
    edge server that had answered queries kept 7 MB. It costs a page fault for each 4 kB, so it is
    not for processes that compute much. To be called before forking: it writes to each hole.
    """
    with contextlib.suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.sbrk.restype, library.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
        library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        end = library.sbrk(0)
        while (block := library.malloc(_LARGE_BYTES // 2)) is not None and block < end:
            pass  # one hole less
        library.free(ctypes.c_void_p(block))
