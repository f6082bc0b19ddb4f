"""What the experiment says to its nodes, and hears from them, beside the emulated network.

These messages stand for what is no traffic in reality: the GPS receiver that tells a position, the
Wi-Fi driver that tells of an association, the stopwatch. They travel over a socket pair that a node
inherits when it is forked; everything else travels over the emulated links.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any, Generic, TypeVar

import msgspec

_log = logging.getLogger(__name__)

_MAX_LINE_BYTES = 1 << 16


class Control(msgspec.Struct, frozen=True, tag=True):
    """Base of the messages."""


class Preload(Control, frozen=True):
    """Every server holds every client's layers from the start (the policy's bound); say `Ready`."""


class WarmUp(Control, frozen=True):
    """The server holds what the hours before the run left there, by the setup; say `Ready`."""


class Start(Control, frozen=True):
    """The run begins: emulated time 0 is `origin_s` on the monotonic clock."""

    origin_s: float
    tdf: float


class Position(Control, frozen=True):
    """The client's position receiver has a fix."""

    time_s: float
    x_m: float
    y_m: float


class Associated(Control, frozen=True):
    """The client's radio is associated with an access point."""

    access_point: str
    handover: int  # its number in the run


class InRange(Control, frozen=True):
    """The client's radio sees these access points, nearest first; say which is `Chosen`."""

    handover: int  # the one that this is for
    access_points: tuple[str, ...]


class Stop(Control, frozen=True):
    """The run is over: stop, write what is to be written, and answer `Stopped`."""


class Ready(Control, frozen=True):
    """The node can start; a memo run's outputs are computed."""


class Answered(Control, frozen=True):
    """A query has been answered."""

    latency_s: float
    outcome: str


class Chosen(Control, frozen=True):
    """The access point that the client wants to be associated with."""

    handover: int
    access_point: str


class Attached(Control, frozen=True):
    """The client knows what the server of its new access point holds."""

    handover: int
    first_byte_s: float
    present_bytes: int
    wanted_bytes: int
    hit: bool


class Transferred(Control, frozen=True):
    """Layers have been sent."""

    cause: str
    sent_bytes: int


class Finish(Control, frozen=True):
    """To an execution pool: all nodes have stopped; say `Ready` when what waits is executed.

    After `limit_s` (wall seconds) the rest is given up.
    """

    limit_s: float


class Compared(Control, frozen=True):
    """Something was executed; `equal` says whether it gave what had been handed out."""

    equal: bool


class MemoryFull(Control, frozen=True):
    """The GPU's memory was full: the processors executed what was meant for it."""


class Failed(Control, frozen=True):
    """The node cannot go on."""

    reason: str


class Stopped(Control, frozen=True):
    """The node has ended its work."""


ToNode = Preload | WarmUp | Start | Position | Associated | InRange | Finish | Stop
FromNode = (
    Ready | Answered | Chosen | Attached | Transferred | Compared | MemoryFull | Failed | Stopped
)

_to_node = msgspec.json.Decoder(ToNode)
_from_node = msgspec.json.Decoder(FromNode)

_Told = TypeVar("_Told", bound=Control)
_SideT = TypeVar("_SideT", bound="_Side[Any]")


class _Side(Generic[_Told]):
    """An end of a control channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls: type[_SideT], channel: socket.socket) -> _SideT:
        """Return the end that lives on this socket."""
        return cls(*await asyncio.open_connection(sock=channel, limit=_MAX_LINE_BYTES))

    def tell(self, message: _Told) -> None:
        """Send a message; the channel's buffer takes it, nothing waits."""
        self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _line(self) -> bytes:
        """Return the next message, encoded; nothing when the other end has gone."""
        try:
            return await self._reader.readline()
        except ConnectionResetError:
            return b""


class NodeSide(_Side[FromNode]):
    """A node's end of the control channel."""

    async def receive(self) -> ToNode:
        """Return the next message; `Stop` when the experiment has gone."""
        line = await self._line()
        return _to_node.decode(line) if line else Stop()

    def watch(self, task: asyncio.Task[None]) -> None:
        """Tell the experiment if a task fails that nothing awaits: the node cannot go on."""
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task failed", exc_info=error)
            self.tell(Failed(f"{task.get_name()}: {error!r}"))

    async def close(self) -> None:
        """Flush and close."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):  # the experiment was quicker
            await self._writer.wait_closed()


class ExperimentSide(_Side[ToNode]):
    """The experiment's end of one node's control channel."""

    async def receive(self) -> FromNode | None:
        """Return the node's next message, or None when the node has ended."""
        line = await self._line()
        return _from_node.decode(line) if line else None

    def close(self) -> None:
        """Close the channel, which a node takes as `Stop`."""
        self._writer.close()
