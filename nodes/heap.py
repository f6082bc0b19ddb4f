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


def keep_no_large_blocks() -> None:
    """From now on return large blocks to the kernel as soon as they are freed.

    Else glibc takes them from the heap from the second of a size on, and an edge server that has
    answered queries keeps 10 MB. It costs a page fault for each 4 kB: not for who computes much.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
