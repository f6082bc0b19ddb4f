"""A client: reports where it is, uploads its layers, and raises queries one after the other.

Each query is answered by `nodes.querying`; this module follows the experiment's messages (a
position, an association) and keeps the tie to the server that executes.
"""

from __future__ import annotations

import asyncio
import logging
import math

from nodes.attachment import Attachment
from nodes.compute import Computer
from nodes.connection import Connection
from nodes.control import (
    Associated,
    Attached,
    Chosen,
    InRange,
    NodeSide,
    Position,
    Ready,
    Start,
    Stop,
    Stopped,
    Transferred,
)
from nodes.model import ClientModel
from nodes.querying import Querying
from nodes.setup import MASTER, NodeSetup
from testbed.clock import RunClock
from testbed.errors import ProtocolError
from testbed.policies import find_policy
from testbed.protocol import (
    PORTS,
    Attach,
    Choice,
    Choose,
    PlanReply,
    Register,
    Registered,
    Report,
)

_log = logging.getLogger(__name__)


class Client:
    """One client's connection to the master and its attachment to an edge server."""

    def __init__(
        self, setup: NodeSetup, name: str, control: NodeSide, computer: Computer, model: ClientModel
    ) -> None:
        self._setup = setup
        self._name = name
        self._control = control
        self._model = model
        self._clock = RunClock(math.inf)
        self._plans: asyncio.Queue[PlanReply] = asyncio.Queue()
        self._choice: Choice | None = None
        self._policy = find_policy(setup.experiment.migration.policy)(setup.experiment.migration)
        self._server: str | None = None  # that executes
        self._attachments: list[Attachment] = []  # to it; two while it is reached anew
        self._attaching: asyncio.Task[None] | None = None
        self._records = setup.record_writer(name)
        self._querying = Querying(setup, name, control, computer, model, self._records)

    async def run(self) -> None:
        """Register, then follow the experiment's messages until it says stop."""
        master = await self._register()
        hearing = asyncio.create_task(self._hear(master), name="hearing the master")
        self._control.watch(hearing)
        self._control.tell(Ready())
        while not isinstance(message := await self._control.receive(), Stop):
            if isinstance(message, Start):
                self._clock = RunClock(message.origin_s, message.tdf)
                self._querying.start(self._clock)
            elif isinstance(message, Position):
                await master.send(Report(message.time_s, message.x_m, message.y_m))
            elif isinstance(message, InRange):
                await master.send(Choose(message.handover, message.access_points))
            elif isinstance(message, Associated):
                await self._associated(message, master)
        await self._querying.stop()
        await self._detach()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await master.close()
        self._records.close()
        self._control.tell(Stopped())

    async def _register(self) -> Connection:
        master = await Connection.open(self._setup.addresses[MASTER], PORTS["control"])
        trajectory = self._setup.trajectories[self._name]
        await master.send(
            Register(
                client=self._name,
                graph=self._model.graph,
                weights=self._model.weights,
                client_s=tuple(self._model.layer_s.tolist()),
                trajectory=tuple((fix.time_s, fix.x_m, fix.y_m) for fix in trajectory),
            )
        )
        reply = await master.receive()
        if reply is None or not isinstance(reply[0], Registered):
            raise ProtocolError(f"expected the master's confirmation, got {reply and reply[0]!r}")
        return master

    async def _hear(self, master: Connection) -> None:
        while (received := await master.receive()) is not None:
            message = received[0]
            if isinstance(message, PlanReply):
                self._plans.put_nowait(message)
            elif isinstance(message, Choice):
                self._choice = message
                self._control.tell(Chosen(message.number, message.plan.server))
            else:
                raise ProtocolError(f"expected a plan, got {message!r}")

    async def _associated(self, where: Associated, master: Connection) -> None:
        """Go to the server that executes from now on, or reach the same one from here."""
        server = self._policy.serving(where.access_point, self._server)
        if server != self._server or self._attaching is None or not self._attaching.done():
            await self._detach()
        self._server = server
        plan = self._planned(where)
        # Before the next report, for which the master must know where the client is
        await master.send(Attach(where.access_point, server, planned=plan is not None))
        self._attaching = asyncio.create_task(self._attach(where, server, plan), name="attaching")
        self._control.watch(self._attaching)
        self._querying.attaching = self._attaching

    def _planned(self, where: Associated) -> PlanReply | None:
        """Return the plan that came with the choice of this access point, if the master chose."""
        choice = self._choice
        if choice is None or choice.number != where.handover:
            return None
        return choice.plan if choice.plan.server == where.access_point else None

    async def _attach(self, where: Associated, server: str, plan: PlanReply | None) -> None:
        """Take the plan, find out what the server has, and start to upload the rest."""
        while plan is None or plan.server != server:
            plan = await self._plans.get()  # one for elsewhere was asked for before moving on
        attachment = Attachment(self._name, self._model, self._setup, plan, self._clock)
        self._attachments.append(attachment)
        try:
            await attachment.open()
        except (OSError, ProtocolError) as error:
            _log.warning("%s: cannot attach to %s: %s", self._name, server, error)
            return
        self._querying.attachment = attachment
        while self._attachments[0] is not attachment:  # it kept what the server has until now
            self._end(self._attachments.pop(0))
        self._control.tell(
            Attached(
                handover=where.handover,
                first_byte_s=attachment.first_byte_s,
                present_bytes=attachment.present_bytes,
                wanted_bytes=attachment.wanted_bytes,
                hit=attachment.hit,
            )
        )

    async def _detach(self) -> None:
        self._querying.attachment = None
        if self._attaching is not None:
            self._attaching.cancel()
            await asyncio.gather(self._attaching, return_exceptions=True)
            self._attaching = None
        while self._attachments:
            self._end(self._attachments.pop(0))

    def _end(self, attachment: Attachment) -> None:
        record = attachment.end()
        if record is not None:
            self._records.append("transfers", **record)
            self._control.tell(Transferred("upload", record["bytes"]))
