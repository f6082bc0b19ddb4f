"""What the C library does with memory that is freed; it keeps most of it for later, by itself."""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 128 << 10


def give_back() -> None:
    """Return to the kernel what is free within the heap."""
    with contextlib.suppress(AttributeError):  # a C library that has no such call
        ctypes.CDLL(None).malloc_trim(0)


def large_blocks_apart() -> None:
    """From now on large blocks are no part of the heap, and go back to the kernel when freed.

    Else they come to lie in the holes that imports have left in it, or in the heap in any case from
    the second of a size on; an edge server that had answered queries kept 7 MB of them. It costs a
    page fault for each 4 kB: not for who computes much. To be called before forking, since a part
    of each hole is written to.
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
