"""Layers as files named by the SHA-256 of their bytes, verified on arrival.

Servers of one machine share a `pool`: a layer that arrived and proved right is linked to the
pool's copy, so ten servers that hold a model hold its bytes once. Who holds what is not told by
the files but by `testbed.presence`; sharing bytes never spares a transfer.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from pathlib import Path

from testbed.errors import ProtocolError

_DIGEST_CHARACTERS = frozenset("0123456789abcdef")


def digest_of(data: bytes | memoryview | mmap.mmap) -> str:
    """Return the content's name: SHA-256, 64 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


class LayerStore:
    """The layer files of one server (or client), in a folder of its own beside a shared pool."""

    def __init__(self, folder: Path, pool: Path) -> None:
        self._folder = folder
        self._pool = pool
        folder.mkdir(parents=True, exist_ok=True)
        pool.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where the whole layer lies.

        Raises:
            ProtocolError: `digest` is no SHA-256 in hexadecimal (it becomes a file name).
        """
        if len(digest) != 64 or not _DIGEST_CHARACTERS.issuperset(digest):
            raise ProtocolError(f"{digest!r} is no SHA-256 digest")
        return self._folder / digest

    def put(self, data: bytes | memoryview) -> str:
        """Store a layer of one's own; return its digest."""
        digest = digest_of(data)
        if not (self._pool / digest).exists():
            own = self._folder / f"{digest}.new"  # the pool never shows a layer in the making
            own.write_bytes(data)
            self._pool_and_link(own, digest)
        self.link(digest)
        return digest

    def link(self, digest: str) -> None:
        """Hold a layer that the pool has."""
        if not self.path(digest).exists():
            os.link(self._pool / digest, self.path(digest))

    def read(self, digest: str) -> mmap.mmap:
        """Return a layer's bytes, mapped, shared with every other reader on the machine."""
        with self.path(digest).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def discard(self, digest: str) -> None:
        """Delete a layer, whole or partial, if it is here."""
        self.path(digest).unlink(missing_ok=True)
        self._partial(digest).unlink(missing_ok=True)

    def write(self, digest: str, offset_bytes: int, data: bytes) -> None:
        """Write bytes of a layer on its way in; they stay in a partial file if the way is cut.

        Several senders may write the same layer in turn: equal bytes to equal places. None keeps
        the file open, and none may write while `accept` runs, so what is verified never changes.
        """
        file = os.open(self._partial(digest), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, data, offset_bytes)
        finally:
            os.close(file)

    def accept(self, digest: str) -> None:
        """Verify a layer that has arrived whole and take it in; takes 1 ms for each 1-2 MB.

        Raises:
            ProtocolError: its bytes are not what the digest says, and are deleted; or it was
                discarded meanwhile.
        """
        partial = self._partial(digest)
        try:
            with (
                partial.open("rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data,
            ):
                found = digest_of(data)
            if found == digest:
                self._pool_and_link(partial, digest)
        except FileNotFoundError as error:
            raise ProtocolError(f"layer {digest[:12]} was discarded as it came") from error
        if found != digest:
            partial.unlink(missing_ok=True)
            raise ProtocolError(f"layer {digest[:12]} is corrupt: its bytes hash to {found[:12]}")

    def _pool_and_link(self, file: Path, digest: str) -> None:
        """Give a layer's file to the pool, unless it has the layer, and hold the pool's."""
        with contextlib.suppress(FileExistsError):  # another node of this machine was quicker
            os.link(file, self._pool / digest)
        self.link(digest)
        file.unlink(missing_ok=True)

    def _partial(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".part")
