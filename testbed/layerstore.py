"""Layers as files named by the SHA-256 of their bytes, verified on arrival.

Servers of one machine share a `pool`: a layer that arrived and proved right is linked to the
pool's copy, so ten servers that hold a model hold its bytes once, and bytes that the pool has are
not written once more, only hashed. Who holds what is not told by
the files but by `testbed.decision.time_to_live`; sharing bytes never spares a transfer.
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


class _Coming:
    """A layer on its way in: the hash of what has come, and the file it goes to, if to any."""

    def __init__(self, file: Path | None) -> None:
        self.sha256 = hashlib.sha256()
        self.count = 0
        self.file = file

    def take(self, offset_bytes: int, data: bytes | memoryview) -> None:
        if offset_bytes > self.count:
            raise ProtocolError(f"bytes from {offset_bytes} on, but {self.count} have come")
        fresh = memoryview(data)[self.count - offset_bytes :]
        if not fresh:
            return
        self.sha256.update(fresh)
        if self.file is not None:
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, fresh, self.count)
            finally:
                os.close(descriptor)
        self.count += len(fresh)


class LayerStore:
    """The layer files of one server (or client), in a folder of its own beside a shared pool."""

    def __init__(self, folder: Path, pool: Path) -> None:
        self._folder = folder
        self._pool = pool
        self._coming: dict[str, _Coming] = {}
        folder.mkdir(parents=True, exist_ok=True)
        pool.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where the whole layer lies.

        Raises ProtocolError: `digest` is no SHA-256 in hexadecimal (it becomes a file name).
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
        self._coming.pop(digest, None)

    def write(self, digest: str, offset_bytes: int, data: bytes | memoryview) -> int:
        """Take in bytes of a layer on its way; return how many leading bytes have come.

        Several senders may send the same layer in turn: what has come before is passed over. All
        bytes are hashed as they come. They are written to a partial file, which stays if the way
        is cut, unless the pool has what the digest names.

        Raises ProtocolError: bytes before these are missing.
        """
        coming = self._coming.get(digest)
        if coming is None:
            file = self._partial(digest)
            written = not (self._pool / digest).exists()
            coming = self._coming[digest] = _Coming(file if written else None)
        coming.take(offset_bytes, data)
        return coming.count

    def accept(self, digest: str) -> None:
        """Take a layer in whose bytes have all come, if they are what its digest says.

        Raises ProtocolError: they are not, and are deleted; or the layer was discarded meanwhile.
        """
        partial = self._partial(digest)
        coming = self._coming.pop(digest, None)
        if coming is None:
            raise ProtocolError(f"layer {digest[:12]} was discarded as it came")
        found = coming.sha256.hexdigest()
        if found != digest:
            partial.unlink(missing_ok=True)
            raise ProtocolError(f"layer {digest[:12]} is corrupt: its bytes hash to {found[:12]}")
        if coming.file is not None:
            self._pool_and_link(partial, digest)
        else:
            self.link(digest)

    def _pool_and_link(self, file: Path, digest: str) -> None:
        """Give a layer's file to the pool, unless it has the layer, and hold the pool's."""
        with contextlib.suppress(FileExistsError):  # another node of this machine was quicker
            os.link(file, self._pool / digest)
        self.link(digest)
        file.unlink(missing_ok=True)

    def _partial(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".part")
