"""A client's tie to the edge server of the access point that it is associated with."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np

from nodes.computing.client_model import ClientModel
from nodes.computing.outputs import split
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection
from nodes.transport.layer_transfer import LayerSender
from testbed.clock import RunClock
from testbed.decision.goodput import LinkGoodput, Reading
from testbed.dnn.partitioning.crossings import Crossing, crossings
from testbed.dnn.partitioning.planners import planner_of
from testbed.dnn.partitioning.upload_order import available_layers
from testbed.errors import ProtocolError
from testbed.protocol.messages import PORTS, Answer, LayerRef, PlanReply, Query, Wanted

_log = logging.getLogger(__name__)


class Attachment:
    """Two connections to the plan's server, for layers and for queries, and what the server has.

    `first_byte_s` is when the client first heard the server; `hit` says whether all server-side
    layers of the plan were present then, `present_bytes` of `wanted_bytes` were. `number` is the
    plan's. Where the server starts `from_image`, it gets that elsewhere, and all of it is present
    or nothing.
    """

    def __init__(
        self, client: str, model: ClientModel, setup: NodeSetup, plan: PlanReply, clock: RunClock
    ) -> None:
        self.server = plan.server
        self.number = plan.number
        self.first_byte_s = 0.0
        self.present_bytes = 0
        self._client = client
        self._address = setup.addresses[plan.server]
        self._model = model
        self.from_image = plan.from_image
        self._wanted = model.refs(plan.upload)
        self.wanted_bytes = sum(ref.size_bytes for ref in self._wanted)
        if plan.from_image:
            self._wanted = setup.image_parts(client)
        self._server_s = plan.server_s
        wireless, interval_s = setup.experiment.wireless, setup.experiment.traces.step_s
        self._goodput = LinkGoodput(wireless.up_bps, wireless.down_bps, interval_s)
        self._planner = planner_of(setup.experiment.model)
        self._on_server = np.array(plan.on_server)
        self._present: set[int] = set()
        self._steps: tuple[Crossing, ...] = ()
        self._planned_with: tuple[float, float] | None = None  # the steps, with these rates
        self._clock = clock
        self._started_s = self._upload_ended_s = clock.now_s()
        self._sender: LayerSender | None = None
        self._layers: Connection | None = None
        self._queries: Connection | None = None
        self._upload: asyncio.Task[None] | None = None
        self._querying = False
        self.ended = False  # whether the client has moved on

    async def open(self) -> None:
        """Connect, learn what the server holds, and start to upload the rest."""
        present_bytes = await self._announce()
        if not self.from_image:
            self.present_bytes = present_bytes
        elif self.complete:
            self.present_bytes = self.wanted_bytes
        self.first_byte_s = self._clock.now_s()
        self._queries = await Connection.open(self._address, PORTS["query"])
        self._begin_upload()

    async def replan(self, plan: PlanReply) -> dict[str, Any] | None:
        """Go on with another plan here (section III.B.2).

        Returns the record of the upload so far where another one begins, of what is missing now.
        """
        self._server_s, self._on_server = plan.server_s, np.array(plan.on_server)
        self._planned_with = None
        wanted = self._model.refs(plan.upload)
        if wanted == self._wanted or self.from_image:
            return None
        self._wanted = wanted
        record, before = self._record(), self._layers
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None
        try:
            # Before the other connection ends, or the server would take the client for gone
            await self._announce()
        finally:
            if before is not None:
                before.abort()
        if not self.ended:
            self._begin_upload()
        elif self._layers is not None:  # the client has moved on meanwhile
            self._layers.abort()
        return record

    @property
    def hit(self) -> bool:
        """Whether nothing had to be uploaded."""
        return self.present_bytes == self.wanted_bytes

    @property
    def complete(self) -> bool:
        """Whether the server has all of the plan's layers now."""
        return self._sender is not None and self._sender.complete

    def steps(self) -> tuple[Crossing, ...]:
        """Return how the planner executes a query with the layers that the server has now."""
        if self.from_image and not self.complete:
            return self._model.local()
        rates_bps = self.rates_bps()
        if self._planned_with != rates_bps:
            graph, costs = self._model.graph, self._model.costs(self._server_s, *rates_bps)
            available = available_layers(graph, self._present, self._on_server)
            self._steps = crossings(graph, self._planner(graph, costs, available).segments())
            self._planned_with = rates_bps
        return self._steps

    def rates_bps(self) -> tuple[float, float]:
        """Return the goodput of the link to plan with, (up, down)."""
        return self._goodput.rates_bps(self._clock.now_s())

    async def query(self, query: Query, body: bytes) -> tuple[Answer, dict[int, memoryview]]:
        """Have the server execute layers; return its answer and the tensors in it.

        Raises ProtocolError if it does not answer the query, ConnectionError if it has gone.
        """
        if self._queries is None:
            raise ProtocolError(f"not connected to {self.server}")
        self._querying = True
        try:
            await self._queries.send(query, body)
            received = await self._queries.receive(int(self._model.graph.live_bytes.max()))
        finally:
            self._querying = False
            if self.ended:
                self._queries.abort()
        if received is None:
            raise ProtocolError(f"{self.server} ended the connection")
        answer, tensors = received
        came = self._queries.reading.undilated(self._clock.tdf)
        if not isinstance(answer, Answer) or answer.query != query.query:
            raise ProtocolError(f"{self.server} answered {answer!r}")
        now_s = self._clock.now_s()
        self._goodput.up.read(Reading(answer.read_bytes, answer.read_s), now_s)
        self._goodput.down.read(came, now_s)
        return answer, split(self._model.graph, query.returns, tensors)

    def end(self) -> dict[str, Any] | None:
        """Stop uploading, close when no query is in flight; return the upload's record, if any."""
        self.ended = True
        record = self._record()
        if self._upload is not None:
            self._upload.cancel()
        if self._layers is not None:
            self._layers.abort()
        if self._queries is not None and not self._querying:
            self._queries.abort()
        return record

    async def _announce(self) -> int:
        """Connect for layers; return how many bytes of the wanted ones the server holds."""
        self._started_s = self._clock.now_s()
        self._layers = await Connection.open(self._address, PORTS["upload"])
        self._sender = LayerSender(self._layers, self._model.store, self._now_stored)
        holding = await self._sender.announce(Wanted(self._client, self._wanted))
        return sum(holding.present_bytes)

    def _begin_upload(self) -> None:
        assert self._sender is not None
        self._upload = asyncio.create_task(self._send_layers(self._sender))

    async def _send_layers(self, sender: LayerSender) -> None:
        try:
            await sender.send_all(lambda ref: not self.from_image)
        except (OSError, ProtocolError) as error:
            _log.warning("%s: upload to %s broke off: %s", self._client, self.server, error)
        finally:
            self._upload_ended_s = self._clock.now_s()

    def _now_stored(self, ref: LayerRef) -> None:
        self._present.add(ref.layer)
        self._planned_with = None

    def _record(self) -> dict[str, Any] | None:
        if self._sender is None or self._upload is None or self.from_image:
            return None
        uploading = not self._upload.done()
        return {
            "client": self._client,
            "source": self._client,
            "destination": self.server,
            "cause": "upload",
            "started_s": self._started_s,
            "ended_s": self._clock.now_s() if uploading else self._upload_ended_s,
            **self._sender.record(),
        }
