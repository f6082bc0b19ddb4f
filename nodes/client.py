"""A client: reports where it is, uploads its layers, and raises queries one after the other.

Each query is answered by `nodes.querying`; this module follows the experiment's messages (a
position, an association) and keeps the tie to the server that executes.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

from nodes import control
from nodes.attachment import Attachment
from nodes.computing.client_model import ClientModel
from nodes.computing.compute import Computer
from nodes.querying import Querying
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection
from testbed.clock import RunClock
from testbed.errors import ProtocolError
from testbed.protocol import messages
from testbed.values import MASTER

_log = logging.getLogger(__name__)


class Client:
    """One client's connection to the master and its attachment to an edge server."""

    def __init__(
        self,
        setup: NodeSetup,
        name: str,
        channel: control.NodeSide,
        computer: Computer,
        model: ClientModel,
    ) -> None:
        self._setup = setup
        self._name = name
        self._channel = channel
        self._model = model
        self._clock = RunClock(math.inf)
        self._plans: asyncio.Queue[messages.PlanReply] = asyncio.Queue()
        self._attachments: list[Attachment] = []  # to one server; two while it is reached anew
        self._attaching: asyncio.Task[None] | None = None
        begins = setup.warm_start and setup.warm_start.clients.get(name)
        self._image_at = begins.image_at if begins else None  # the server that had it whole last
        self._replans: set[asyncio.Task[None]] = set()
        self._replanning = asyncio.Lock()  # one after the other
        self._records = setup.record_writer(name)
        self._querying = Querying(setup, name, channel, computer, model, self._records)

    async def run(self) -> None:
        """Register, then follow the experiment's messages until it says stop."""
        master = await self._register()
        hearing = asyncio.create_task(self._hear(master), name="hearing the master")
        self._channel.watch(hearing)
        self._channel.tell(control.Ready())
        while not isinstance(message := await self._channel.receive(), control.Stop):
            if isinstance(message, control.Start):
                self._clock = RunClock(message.origin_s, message.tdf)
                self._querying.start(self._clock)
            elif isinstance(message, control.Position):
                await self._report(message, master)
            elif isinstance(message, control.InRange):
                await master.send(messages.Choose(message.handover, message.access_points))
            elif isinstance(message, control.Associated):
                await self._associated(message, master)
        await self._querying.stop()
        await self._detach()
        ending = [hearing, *self._replans]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await master.close()
        self._records.close()
        self._channel.tell(control.Stopped())

    async def _register(self) -> Connection:
        master = await Connection.open(self._setup.addresses[MASTER], messages.PORTS["control"])
        trajectory = self._setup.trajectories[self._name]
        await master.send(
            messages.Register(
                client=self._name,
                graph=self._model.graph,
                weights=self._model.weights,
                client_s=tuple(self._model.layer_s.tolist()),
                trajectory=tuple((fix.time_s, fix.x_m, fix.y_m) for fix in trajectory),
            )
        )
        await master.expect(messages.Registered, "the master's confirmation")
        return master

    async def _report(self, position: control.Position, master: Connection) -> None:
        """Tell the master where the client is, and what its link has carried there."""
        up_bps = down_bps = None
        if (attachment := self._querying.attachment) is not None:
            up_bps, down_bps = attachment.rates_bps()
        where = position.time_s, position.x_m, position.y_m
        await master.send(messages.Report(*where, up_bps, down_bps))

    async def _hear(self, master: Connection) -> None:
        async for message in master.incoming():
            if isinstance(message, messages.PlanReply):
                attachment = self._querying.attachment
                if attachment is None or attachment.number != message.number:
                    self._plans.put_nowait(message)
                else:
                    again = asyncio.create_task(self._replan(attachment, message))
                    self._replans.add(again)
                    again.add_done_callback(self._replans.discard)
                    self._channel.watch(again)
            elif isinstance(message, messages.Choice):
                self._channel.tell(control.Chosen(message.number, message.access_point))
            else:
                raise ProtocolError(f"expected a plan, got {message!r}")

    async def _associated(self, where: control.Associated, master: Connection) -> None:
        """Ask for the plan here, and go to the server that it names."""
        self._querying.attachment = None
        if self._attaching is not None and not self._attaching.done():
            await self._detach()
        for each in self._attachments:
            if each.from_image and each.complete:
                self._image_at = each.server
        # Before the next report, for which the master must know where the client is
        await master.send(messages.Attach(where.handover, where.access_point, self._image_at))
        self._attaching = asyncio.create_task(self._attach(where), name="attaching")
        self._channel.watch(self._attaching)
        self._querying.attaching = self._attaching

    async def _attach(self, where: control.Associated) -> None:
        """Take the plan, find out what the server has, and start to upload the rest."""
        while (plan := await self._plans.get()).number != where.handover:
            pass  # it was asked for before moving on
        if self._attachments and self._attachments[0].server != plan.server:
            self._leave()
        attachment = Attachment(self._name, self._model, self._setup, plan, self._clock)
        self._attachments.append(attachment)
        try:
            await attachment.open()
        except (OSError, ProtocolError) as error:
            _log.warning("%s: cannot attach to %s: %s", self._name, plan.server, error)
            return
        self._querying.attachment = attachment
        while not self._plans.empty():  # the plan has changed again meanwhile
            if (plan := self._plans.get_nowait()).number == attachment.number:
                await self._replan(attachment, plan)
        self._leave(but=attachment)  # the one before kept what the server has until now
        self._channel.tell(
            control.Attached(
                handover=where.handover,
                first_byte_s=attachment.first_byte_s,
                present_bytes=attachment.present_bytes,
                wanted_bytes=attachment.wanted_bytes,
                hit=attachment.hit,
            )
        )

    async def _replan(self, attachment: Attachment, plan: messages.PlanReply) -> None:
        """Go on with a plan that the master has changed; the upload is recorded so far."""
        async with self._replanning:
            if attachment.ended:
                return
            try:
                self._record(await attachment.replan(plan))
            except (OSError, ProtocolError) as error:
                text = "%s: cannot upload to %s by its new plan: %s"
                _log.warning(text, self._name, plan.server, error)

    async def _detach(self) -> None:
        self._querying.attachment = None
        if self._attaching is not None:
            self._attaching.cancel()
            await asyncio.gather(self._attaching, return_exceptions=True)
            self._attaching = None
        self._leave()

    def _leave(self, but: Attachment | None = None) -> None:
        """End all attachments but one."""
        while self._attachments and self._attachments[0] is not but:
            self._record(self._attachments.pop(0).end())

    def _record(self, upload: Mapping[str, Any] | None) -> None:
        if upload is not None:
            self._records.append("transfers", **upload)
            self._channel.tell(control.Transferred("upload", upload["bytes"]))
