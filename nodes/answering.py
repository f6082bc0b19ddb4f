"""An edge server's queries: segments of clients' models, executed on its accelerator.

Between two segments of a query the server keeps the tensors that a later one reads, so none crosses
twice. It keeps them for one query a client, and no more bytes than are live at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from nodes.computing.compute import Computer, Job
from nodes.computing.outputs import Outputs
from nodes.computing.own_gpu import ServerGpu
from nodes.transport.connection import Connection
from testbed.decision.goodput import Reading
from testbed.errors import ProtocolError
from testbed.protocol.messages import Answer, Query, Refused


class _Kept(NamedTuple):
    """The tensors that one query left here."""

    query: int
    values: dict[int, memoryview]


class Answering:
    """Answers the queries of one edge server's clients, which have `distinct_inputs` each.

    `has_layer` says whether a client's layer is here, with all of its weights.
    """

    def __init__(
        self,
        computer: Computer,
        gpu: ServerGpu,
        distinct_inputs: int,
        has_layer: Callable[[str, int], bool],
    ) -> None:
        self._computer = computer
        self._gpu = gpu
        self._distinct_inputs = distinct_inputs
        self._has_layer = has_layer
        self._kept: dict[str, _Kept] = {}
        self.most_bytes = int(computer.graph.live_bytes.max())  # of a query's body

    async def answer(
        self, connection: Connection, query: Query, body: memoryview, came: Reading
    ) -> None:
        """Execute a segment and send what it returns, or the reason why that cannot be.

        `came` is how fast the body did, in emulated time; the client plans with that.
        Raises ProtocolError if the tensors in it, or those that it asks for, are not the segment's.
        """
        kept = self._kept.pop(query.client, None)  # a new query, or a last segment, frees them
        reason = self._missing(query)
        if reason is None:
            values = dict(kept.values) if kept is not None and kept.query == query.query else {}
            job = Job(query.client, query.query, query.input_key, query.first, query.last)
            values |= self._computer.unpack(query.producers, body, job)
            self._check(query, job)
            reason = self._lacking(query, job, values)
        if reason is not None:
            await connection.send(Refused(query.query, reason))
            return
        inputs = {p: values[p] for p in self._computer.graph.reads(job.first, job.last)}
        seconds = self._computer.duration_s(job)
        compute = partial(self._computer.execute, job, inputs)
        outputs, late_s = await self._gpu.execute(query.client, seconds, compute)
        values |= outputs
        if query.keeps:  # copies: a part of a body would hold the whole of it
            copies = {producer: memoryview(bytes(values[producer])) for producer in query.keeps}
            self._kept[query.client] = _Kept(query.query, copies)
        answer = b"".join(values[producer] for producer in query.returns)
        await connection.send(Answer(query.query, late_s, *came), answer)
        if query.execute:
            self._computer.check(job, inputs)

    def forget(self, client: str) -> None:
        """The client has left: free what its query has left here."""
        self._kept.pop(client, None)

    def _missing(self, query: Query) -> str | None:
        """Return why a segment cannot be executed here, or None when it can."""
        graph = self._computer.graph
        if not 0 <= query.first <= query.last < len(graph):
            return f"no layers {query.first} to {query.last}"
        if not 0 <= query.input_key < self._distinct_inputs:
            return f"no input {query.input_key}"
        for layer in range(query.first, query.last + 1):
            if not self._has_layer(query.client, layer):
                return f"layer {layer} is not here"
        return None

    def _check(self, query: Query, job: Job) -> None:
        """Refuse to return what the segment does not make, or to keep what nothing reads later."""
        live = self._computer.graph.live(job.last + 1)
        for named, known in ((query.returns, self._computer.outputs_of(job)), (query.keeps, live)):
            if list(named) != sorted(set(named) & set(known)):  # known, ascending, none twice
                raise ProtocolError(f"{job}: the outputs of {named} are not among {known}")

    def _lacking(self, query: Query, job: Job, values: Outputs) -> str | None:
        """Return which tensor should have been kept here and was not, or None."""
        earlier = (p for p in query.keeps if p < job.first)
        for producer in (*self._computer.graph.reads(job.first, job.last), *earlier):
            if producer not in values:
                return f"the output of layer {producer} is not here"
        return None
