"""A client's queries: each raised a gap after the last answer, executed where it is fastest.

A query executes at the client up to the first layer that the server has, there while that helps,
and back at the client (section III.B.1). While layers are being uploaded, or were migrated in
part, what the server has changes from query to query; each is planned for what it has just then.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from nodes.attachment import Attachment
from nodes.computing.client_model import ClientModel
from nodes.computing.compute import Computer, Job
from nodes.control import Answered, NodeSide
from nodes.setup import NodeSetup
from testbed.clock import RunClock
from testbed.dnn.graph import INPUT
from testbed.dnn.partitioning.crossings import Crossing, local_rest
from testbed.dnn.partitioning.partition import Segment
from testbed.errors import ProtocolError
from testbed.protocol.messages import Query
from testbed.runs.records import RecordWriter

_log = logging.getLogger(__name__)

#: Emulated time that a query waits for an attachment in the making before it is executed locally.
_ATTACHING_S = 0.5
#: Wall time to take in what was computed for a segment, before it is due.
_READ_S = 0.01


@dataclass
class _Execution:
    """One query on its way through its segments: its tensors so far, and what they cost."""

    number: int
    input_key: int
    execute: bool  # in full, where answers are replayed
    values: dict[int, memoryview]
    bytes_up: int = 0
    bytes_down: int = 0
    late_s: float = 0.0
    layers_client: int = 0
    layers_server: int = 0


class Querying:
    """Raises queries from `start` to `stop`, at the server of `attachment` while there is one."""

    def __init__(
        self,
        setup: NodeSetup,
        client: str,
        control: NodeSide,
        computer: Computer,
        model: ClientModel,
        records: RecordWriter,
    ) -> None:
        self.attachment: Attachment | None = None
        self.attaching: asyncio.Task[None] | None = None
        self._settings = setup.experiment
        self._client = client
        self._control = control
        self._computer = computer
        self._model = model
        self._records = records
        duration_s = setup.experiment.replay.duration_s
        self._until_s = math.inf if duration_s == "all" else duration_s
        self._random = random.Random(setup.client_seed(client))
        self._execute_credit = self._random.random()
        self._raising: asyncio.Task[None] | None = None

    def start(self, clock: RunClock) -> None:
        """Begin; clients do not start in step, each does at its own moment of the first gap."""
        self._clock = clock
        self._raising = asyncio.create_task(self._raise_queries(), name="raising queries")
        self._control.watch(self._raising)

    async def stop(self) -> None:
        """End; a query in flight is given up."""
        if self._raising is not None:
            self._raising.cancel()
            await asyncio.gather(self._raising, return_exceptions=True)

    async def _raise_queries(self) -> None:
        gap_s = self._settings.model.query_gap_s
        raise_s = self._random.uniform(0, gap_s)
        number = 0
        while raise_s < self._until_s:  # the run may end a little later
            await self._clock.sleep_until(raise_s)
            await self._query(number)
            number += 1
            raise_s = self._clock.now_s() + gap_s

    async def _query(self, number: int) -> None:
        raised_s = self._clock.now_s()
        if self.attaching is not None and not self.attaching.done():
            await asyncio.wait({self.attaching}, timeout=_ATTACHING_S * self._clock.tdf)
        attachment, execution = self.attachment, self._begin(number)
        cold_start = attachment is None or not attachment.complete
        steps = self._model.local() if attachment is None else attachment.steps()
        try:
            await self._run(execution, steps, attachment)
            outcome = "remote" if execution.layers_server else "local"
        except (OSError, ProtocolError) as error:
            _log.warning("%s: query %d is finished locally: %s", self._client, number, error)
            outcome = "fallback"
            execution.values = {INPUT: self._model.inputs[execution.input_key]}
            execution.layers_client = execution.layers_server = 0
            await self._run(execution, self._model.local(), None)
        answered_s = self._clock.now_s()
        self._control.tell(Answered(answered_s - raised_s, outcome))
        row = {
            "client": self._client,
            "query": number,
            "raised_s": raised_s,
            "answered_s": answered_s,
            "latency_s": answered_s - raised_s,
            "edge": attachment.server if attachment and outcome == "remote" else None,
            "executed_layers_client": execution.layers_client,
            "executed_layers_server": execution.layers_server,
            "bytes_up": execution.bytes_up,
            "bytes_down": execution.bytes_down,
            "cold_start": cold_start,
            "outcome": outcome,
            "compute": self._computer.mode,
            "late_s": execution.late_s,
        }
        mode = self._computer.mode
        computed = None if mode == "memo" else mode == "real"  # what is replayed: see the pool
        self._records.append("queries", **row, verified=None, computed=computed)
        if mode != "profile" and self._random.random() < self._settings.compute.verify_share:
            self._check_answer(execution)

    def _begin(self, number: int) -> _Execution:
        key = number % self._settings.model.distinct_inputs
        self._execute_credit += self._computer.execute_share
        execute = self._execute_credit >= 1.0  # so that those chosen are evenly apart
        self._execute_credit -= execute
        return _Execution(number, key, execute, {INPUT: self._model.inputs[key]})

    async def _run(
        self, execution: _Execution, steps: Sequence[Crossing], attachment: Attachment | None
    ) -> None:
        for step in steps:
            if not step.segment.on_server:
                await self._run_here(execution, step.segment)
            elif attachment is not None and not attachment.ended:
                await self._run_there(execution, step, attachment)
            else:  # the client has moved on meanwhile; what the server kept, it computes itself
                for segment in local_rest(self._model.graph, execution.values):
                    await self._run_here(execution, segment)
                return

    async def _run_here(self, execution: _Execution, segment: Segment) -> None:
        job = self._job(execution, segment.first, segment.last)
        due_s = self._clock.now_s() + self._computer.duration_s(job)
        wanted_s = self._clock.monotonic_s(due_s) - _READ_S if execution.execute else None
        execution.values.update(await self._computer.execute(job, execution.values, wanted_s))
        late_s = await self._clock.sleep_until(due_s)
        execution.late_s += max(0.0, late_s)
        execution.layers_client += job.last - job.first + 1

    async def _run_there(self, execution: _Execution, step: Crossing, where: Attachment) -> None:
        body = b"".join(execution.values[producer] for producer in step.sent)
        query = Query(
            client=self._client,
            query=execution.number,
            first=step.segment.first,
            last=step.segment.last,
            producers=step.sent,
            returns=step.returned,
            keeps=step.kept,
            input_key=execution.input_key,
            execute=execution.execute,
        )
        answer, tensors = await where.query(query, body)
        execution.values.update(tensors)
        execution.bytes_up += len(body)
        execution.bytes_down += sum(len(tensor) for tensor in tensors.values())
        execution.late_s += answer.late_s
        execution.layers_server += query.last - query.first + 1

    def _check_answer(self, execution: _Execution) -> None:
        """Have the whole query executed once more, and compared with the answer that came."""
        whole = self._job(execution, 0, len(self._model.graph) - 1)
        inputs = {INPUT: self._model.inputs[execution.input_key]}
        answer = {producer: execution.values[producer] for producer in self._model.graph.outputs}
        self._computer.check_answer(whole, inputs, answer)

    def _job(self, execution: _Execution, first: int, last: int) -> Job:
        return Job(self._client, execution.number, execution.input_key, first, last)
