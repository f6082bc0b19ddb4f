"""What a run will need of a machine, before it starts; and what to do where that is too much.

The unit costs were measured on two cores of 2.5 GHz (`benchmarks/capacity.py` measures what a
machine really carries). They are for the worst moment, in which all clients upload at once, as when
a run begins: later a run needs much less.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import psutil
from msgspec.structs import replace

from nodes.requests import ModelMeasure
from nodes.setup import ComputeMode
from testbed.settings.experiment import Experiment
from testbed.settings.units import format_rate, format_size

#: Processor seconds for each Gbit that a client uploads: client, links, edge server.
_UPLOAD_CORES_PER_GBPS = 0.75
#: For each Gbit between edge servers: both of them, and two or three switches.
_BACKHAUL_CORES_PER_GBPS = 1.3
#: Of what clients upload at once, so much goes on to other servers (KAIST, r = 50 m).
_SENT_ON_SHARE = 0.25
#: Processor seconds of a query beyond its computing: frames, plans, records, timers.
_QUERY_CORES = 0.004
#: Bytes of each kind of node beside models, of each switch port, and of all the rest
#: (`benchmarks/memory.py`).
_EDGE_BYTES, _CLIENT_BYTES, _PORT_BYTES, _REST_BYTES = 7.5e6, 15e6, 0.6e6, 0.6e9
#: What a run may take: times must be kept at the worst moment, and memory must not run out.
_PROCESSOR_SHARE = 0.85
_MEMORY_SHARE = 0.95


@dataclass(frozen=True)
class Resources:
    """Processors, and bytes of memory that are free."""

    processors: int
    memory_bytes: float

    @classmethod
    def here(cls) -> Resources:
        """Return what this one has."""
        return cls(len(os.sched_getaffinity(0)), psutil.virtual_memory().available)

    def carries(self, wanted: Need) -> tuple[bool, bool]:
        """Return whether processors suffice for a run, and whether memory does."""
        enough = wanted.processors <= self.processors * _PROCESSOR_SHARE
        return enough, wanted.memory_bytes <= self.memory_bytes * _MEMORY_SHARE


@dataclass(frozen=True)
class Need:
    """What a run needs at its worst moment; rates in bit/s of wall time."""

    processors: float
    memory_bytes: float
    wireless_bps: float
    backhaul_bps: float


def need(settings: Experiment, access_points: int, mode: ComputeMode, model: ModelMeasure) -> Need:
    """Return what a run with these settings needs."""
    clients, tdf = settings.replay.clients, settings.compute.dilation
    wireless_bps = clients * settings.wireless.up_bps / tdf
    backhaul_bps = _SENT_ON_SHARE * wireless_bps if access_points > 1 else 0.0
    queries_a_s = clients / (model.server_s + settings.model.query_gap_s) / tdf
    computing_s = model.pass_s if mode == "real" else 0.0
    processors = (
        _UPLOAD_CORES_PER_GBPS * wireless_bps / 1e9
        + _BACKHAUL_CORES_PER_GBPS * backhaul_bps / 1e9
        + (_QUERY_CORES + computing_s) * queries_a_s
    )
    inputs = settings.model.distinct_inputs
    memory_bytes = (
        _REST_BYTES
        + access_points * (_EDGE_BYTES + 2 * _PORT_BYTES)
        + clients * (_CLIENT_BYTES + model.weight_bytes)
        + (clients * inputs * model.memo_bytes if mode == "memo" else 0.0)
        + (2 * clients * model.weight_bytes if mode == "real" else 0.0)
    )
    return Need(processors, memory_bytes, wireless_bps, backhaul_bps)


def advice(
    settings: Experiment,
    access_points: int,
    mode: ComputeMode,
    model: ModelMeasure,
    machine: Resources,
) -> tuple[str, bool, bool]:
    """Return what people are told: a line, whether processors suffice, and whether memory does."""

    def carried(clients: int) -> bool:
        fewer = replace(settings, replay=replace(settings.replay, clients=clients))
        return all(machine.carries(need(fewer, access_points, mode, model)))

    wanted = need(settings, access_points, mode, model)
    enough, fits = machine.carries(wanted)
    line = (
        f"estimate: up to {wanted.processors:.1f} of {machine.processors} processors,"
        f" {format_size(wanted.memory_bytes)} of {format_size(machine.memory_bytes)},"
        f" {format_rate(wanted.wireless_bps)} on the air"
    )
    if enough and fits:
        return line, enough, fits
    ways = []
    if not enough:
        most_processors = machine.processors * _PROCESSOR_SHARE
        tdf = settings.compute.dilation * wanted.processors / most_processors
        ways.append(f"--tdf {math.ceil(tdf)}")
    if mode == "real":
        ways.append("--compute memo")
    one = replace(settings, model=replace(settings.model, distinct_inputs=1))
    if not fits and machine.carries(need(one, access_points, mode, model))[1]:
        ways.append("--set model.distinct_inputs=1")
    if most := next(filter(carried, range(settings.replay.clients - 1, 0, -1)), None):
        ways.append(f"--clients {most}")
    lacking = [what for what, has in (("processors", enough), ("memory", fits)) if not has]
    line += f": {' and '.join(lacking)} may not suffice"
    return (f"{line}; use {', or '.join(ways)}" if ways else line), enough, fits
