"""Moving layers over a connection: the sending and the receiving half.

The receiver answers a `Wanted` or `MigrationOffer` with what it holds of each layer; the sender
sends the rest, best layers first, in pieces that start where the receiver's bytes end; the receiver
verifies each layer and says `Stored`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from nodes.transport.connection import Connection
from testbed.decision.time_to_live import HeldLayers
from testbed.errors import ProtocolError
from testbed.layerstore import LayerStore
from testbed.protocol.messages import Holding, LayerPiece, LayerRef, MigrationOffer, Stored, Wanted

_PIECE_BYTES = 1 << 20  # 0.24 s at 35 Mbit/s


def is_whole(held: HeldLayers[str], client: str, ref: LayerRef) -> bool:
    """Return whether all bytes of a client's layer are here."""
    return held.present_bytes(client, ref.digest) == ref.size_bytes


class LayerSender:
    """Sends a client's layers to a server's upload or migration port and knows what is there.

    `on_stored` is called with each layer that the receiver has from now on.
    """

    def __init__(
        self, connection: Connection, store: LayerStore, on_stored: Callable[[LayerRef], None]
    ) -> None:
        self._connection = connection
        self._store = store
        self._on_stored = on_stored
        self._offset_bytes: dict[str, int] = {}
        self._outstanding: dict[str, list[LayerRef]] = {}  # layers of equal bytes come together
        self._sent: set[str] = set()
        self.changed = asyncio.Event()
        self.sent_layers = 0
        self.skipped_bytes = 0

    async def announce(self, opening: Wanted | MigrationOffer) -> Holding:
        """Open the exchange; return what the receiver holds of the layers named."""
        await self._connection.send(opening)
        holding = await self._connection.expect(Holding, "what the server holds")
        named, answered = len(opening.layers), len(holding.present_bytes)
        if named != answered:
            raise ProtocolError(f"{named} layers named, {answered} answered")
        for ref, present in zip(opening.layers, holding.present_bytes, strict=True):
            if not 0 <= present <= ref.size_bytes:
                raise ProtocolError(f"the server cannot hold {present} bytes of {ref}")
            self.skipped_bytes += present
            if present < ref.size_bytes:
                self._offset_bytes[ref.digest] = present
                self._outstanding.setdefault(ref.digest, []).append(ref)
            else:
                self._on_stored(ref)
        return holding

    async def send_all(self, is_here: Callable[[LayerRef], bool] = lambda ref: True) -> None:
        """Send what is missing, best layers first; return when the receiver has stored it all.

        A layer that `is_here` says the sender lacks is passed over, and sent when it has come
        (`changed` wakes this up).
        """
        receiving = asyncio.create_task(self._receive_stored())
        receiving.add_done_callback(lambda _: self.changed.set())
        try:
            while self._outstanding and not receiving.done():
                self.changed.clear()
                unsent = (r for r, *_ in self._outstanding.values() if r.digest not in self._sent)
                if (ref := next(filter(is_here, unsent), None)) is not None:
                    await self._send(ref)
                else:
                    await self.changed.wait()
            if missing := len(self._outstanding):
                receiving.result()
                raise ProtocolError(f"the server left with {missing} layers unstored")
        finally:
            receiving.cancel()

    @property
    def sent_bytes(self) -> int:
        """Bytes of layers that the connection has taken."""
        return self._connection.file_bytes

    @property
    def complete(self) -> bool:
        """Whether the receiver holds every layer named."""
        return not self._outstanding

    def record(self) -> dict[str, Any]:
        """Return the columns of `transfers` that tell what was sent so far."""
        return {
            "layers": self.sent_layers,
            "bytes": self.sent_bytes,
            "frame_bytes": self._connection.frame_bytes,
            "unsent_bytes": self._connection.unsent_bytes(),
            "wire_bytes": self._connection.wire_bytes(),
            "source_port": self._connection.port,
            "skipped_bytes": self.skipped_bytes,
            "complete": self.complete,
        }

    async def _send(self, ref: LayerRef) -> None:
        self._sent.add(ref.digest)
        self.sent_layers += 1
        offset = self._offset_bytes[ref.digest]
        with self._store.path(ref.digest).open("rb") as file:
            # Piece by piece, to stop when the layer has come to the receiver by another way
            while offset < ref.size_bytes and ref.digest in self._outstanding:
                piece = LayerPiece(ref.digest, offset)
                count = min(_PIECE_BYTES, ref.size_bytes - offset)
                await self._connection.send_file(piece, file, offset, count)
                offset += count

    async def _receive_stored(self) -> None:
        async for reply in self._connection.incoming():
            if not isinstance(reply, Stored):
                raise ProtocolError(f"expected a layer's storing, got {reply!r}")
            for ref in self._outstanding.pop(reply.digest, []):
                self._on_stored(ref)
                self.changed.set()


class LayerReceiver:
    """Takes clients' layers off connections into their stores, verified, and keeps count.

    `is_wanted` says whether a client still has a layer of this digest. `on_stored` is awaited with
    each layer that is here from now on; it tells the senders.
    """

    def __init__(
        self,
        held: HeldLayers[str],
        is_wanted: Callable[[str, str], bool],
        on_stored: Callable[[str, LayerRef], Awaitable[None]],
    ) -> None:
        self._held = held
        self._is_wanted = is_wanted
        self._on_stored = on_stored

    def holding(self, client: str, layers: Sequence[LayerRef]) -> Holding:
        """Return how many leading bytes of each layer are here."""
        return Holding(tuple(self._held.present_bytes(client, ref.digest) for ref in layers))

    async def receive(
        self,
        connection: Connection,
        client: str,
        store: LayerStore,
        announced: Mapping[str, LayerRef],
    ) -> None:
        """Receive layers until the sender closes.

        Raises ProtocolError for a layer that was not announced, wrong bounds, or corrupt bytes.
        """
        while (head := await connection.receive_head()) is not None:
            piece, body_bytes = head
            if not isinstance(piece, LayerPiece) or piece.digest not in announced:
                raise ProtocolError(f"expected a layer that was announced, got {piece!r}")
            ref, offset = announced[piece.digest], piece.offset_bytes
            present, end = self._held.present_bytes(client, ref.digest), offset + body_bytes
            if not 0 <= offset <= present or end > ref.size_bytes:
                raise ProtocolError(
                    f"layer {ref.layer}: bytes {offset} to {end} do not continue the "
                    f"{present} of {ref.size_bytes} that are here"
                )
            async for data in connection.body(body_bytes):
                if not is_whole(self._held, client, ref):
                    await self._take_in(client, store, ref, offset, data)
                offset += len(data)

    async def _take_in(
        self, client: str, store: LayerStore, ref: LayerRef, offset: int, data: memoryview
    ) -> None:
        """Store bytes of a layer; refuse them if earlier ones, or the layer, were discarded."""
        present = self._held.present_bytes(client, ref.digest)
        if offset > present or not self._is_wanted(client, ref.digest):
            raise ProtocolError(f"layer {ref.layer} was discarded as it came")
        arrived = store.write(ref.digest, offset, data)
        # The last byte counts only once the layer is verified
        self._held.add(client, ref.digest, min(arrived, ref.size_bytes - 1))
        if arrived == ref.size_bytes:
            try:
                store.accept(ref.digest)
            except ProtocolError:
                self._held.forget(client, ref.digest)
                raise
            self._held.add(client, ref.digest, ref.size_bytes)
            await self._on_stored(client, ref)
