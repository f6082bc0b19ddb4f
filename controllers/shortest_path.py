"""An OpenFlow 1.3 controller that routes every address along a shortest path, ahead of time.

A switch that connects is given its whole flow table at once, so nothing is flooded and no packet
waits for the controller. At a handover only the flow entries that change are sent, from the
client's new place outwards, and barriers confirm them. `routes` says what the tables hold.

    python -m controllers.shortest_path --network network.json --northbound /run/x/northbound.sock
"""

from __future__ import annotations

import argparse
import itertools
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoReplyError
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from controllers import framework, northbound, routes
from controllers.framework import DEAD_DISPATCHER, MAIN_DISPATCHER, ofp_event, set_ev_cls
from controllers.openflow import SwitchConnection
from testbed.errors import (
    EXIT_BAD_CONFIGURATION,
    EXIT_COMPLETE,
    ConfigurationError,
    EmulationError,
    TestbedError,
)

_log = logging.getLogger("shortest_path")
_ANSWERED = ("Barrier", "PortStats", "FlowStats", "AggregateStats")
_REPLIES = [getattr(ofp_event, f"EventOFP{request}Reply") for request in _ANSWERED]
_Value = TypeVar("_Value")
#: Returns a port's counters, which OFPPortStats calls by the same names.
_counted = attrgetter(*northbound.PortCounters.__struct_fields__[3:])


class ShortestPath(framework.Application):
    """The application; `answer` is called by the northbound interface's threads.

    Handlers run in the framework's thread and never wait for a switch, since its replies come in by
    that same thread.
    """

    OFP_VERSIONS = (framework.ofproto_v1_3.OFP_VERSION,)

    def __init__(self, network: routes.Network) -> None:
        super().__init__()
        self._names = {dpid: name for name, dpid in network.switches.items()}
        self._network = network
        self._tables = routes.flow_tables(network)  # what the switches shall hold, by datapath id
        self._switches: dict[int, SwitchConnection] = {}  # connected ones, by datapath id
        self._confirmed: set[SwitchConnection] = set()  # those that hold their whole table
        self._state = threading.Condition()  # guards the four above; notified as they change
        self._moving = threading.Lock()  # one move at a time

    def answer(self, request: northbound.Request) -> northbound.Reply:
        """Carry out a northbound request; raises TestbedError when that fails."""
        if isinstance(request, northbound.ReadyRequest):
            return self._ready(request)
        if isinstance(request, northbound.MoveRequest):
            return self._move(request)
        return self._count(request)

    def _ready(self, request: northbound.ReadyRequest) -> northbound.ReadyResult:
        started_s = time.monotonic()
        with self._state:
            if not self._state.wait_for(lambda: not self._unready(), request.deadline_s):
                raise EmulationError(
                    f"after {request.deadline_s:g} s not ready: {'; '.join(self._unready())}"
                )
            flows = sum(map(len, self._tables.values()))
        return northbound.ReadyResult(len(self._names), flows, time.monotonic() - started_s)

    def _unready(self) -> list[str]:
        """Return what is still missing, one text a switch."""
        missing = []
        for dpid, name in self._names.items():
            switch = self._switches.get(dpid)
            if switch is None:
                missing.append(f"{name} has not connected")
            elif switch.refusal is not None:
                missing.append(f"{name} reported {switch.refusal}")
            elif switch not in self._confirmed:
                missing.append(f"{name} has not confirmed its flow table")
        return missing

    def _move(self, request: northbound.MoveRequest) -> northbound.MoveResult:
        started_s = time.monotonic()
        give_up_s = started_s + request.deadline_s
        with self._moving:
            with self._state:
                before = self._network
                after = routes.move(before, request.client, request.access_point)
                changes = routes.changes(before, after)
                switches = {change.dpid: self._connected(change.dpid) for change in changes}
                self._network = after
                for change in changes:  # also for switches that connect from now on
                    routes.apply(change, self._tables)
            for _, nearer in itertools.groupby(changes, key=lambda change: change.hops):
                step = list(nearer)
                for change in step:
                    switches[change.dpid].change(change)
                _confirm({switches[change.dpid] for change in step}, give_up_s)
        return northbound.MoveResult(len(changes), len(switches), time.monotonic() - started_s)

    def _count(self, request: northbound.CountersRequest) -> northbound.Counters:
        give_up_s = time.monotonic() + request.deadline_s
        with self._state:
            switches = [self._connected(dpid) for dpid in self._names]
            neighbours = routes.neighbours(self._network)
        asked = [(switch, switch.port_counters(), switch.missed_packets()) for switch in switches]
        asked_flows = [(switch, switch.flow_counters()) for switch in switches if request.flows]
        ports: list[northbound.PortCounters] = []
        missed: dict[str, int] = {}
        for switch, port_counters, missed_packets in asked:
            its = neighbours[switch.name]
            ports += [
                northbound.PortCounters(switch.name, port.port_no, neighbour, *_counted(port))
                for port in _await(switch, port_counters, give_up_s)
                if (neighbour := its.get(port.port_no)) is not None
            ]
            missed[switch.name] = _await(switch, missed_packets, give_up_s).packet_count
        flows = [
            northbound.FlowCounters(
                switch.name, flow.match["ipv4_dst"], flow.packet_count, flow.byte_count
            )
            for switch, flow_counters in asked_flows
            for flow in _await(switch, flow_counters, give_up_s)
        ]
        return northbound.Counters(tuple(ports), missed, tuple(flows))

    def _connected(self, dpid: int) -> SwitchConnection:
        if dpid not in self._switches:
            raise EmulationError(f"switch {self._names[dpid]} is not connected")
        return self._switches[dpid]

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def _switch_changed(self, event: Any) -> None:
        datapath = event.datapath
        if datapath.id not in self._names:
            if datapath.id is not None:
                _log.warning("ignored: switch with unknown datapath id %016x", datapath.id)
        elif event.state == MAIN_DISPATCHER:
            self._take_in(SwitchConnection(self._names[datapath.id], datapath))
        else:
            self._let_go(datapath)

    def _take_in(self, switch: SwitchConnection) -> None:
        def confirmed(reply: Future[None]) -> None:
            if reply.exception() is None:
                with self._state:
                    self._confirmed.add(switch)
                    self._state.notify_all()

        with self._state:
            self._switches[switch.datapath.id] = switch
            switch.install(self._tables[switch.datapath.id])
        switch.confirm().add_done_callback(confirmed)
        _log.info("switch %s connected", switch.name)

    def _let_go(self, datapath: Any) -> None:
        with self._state:
            switch = self._switches.get(datapath.id)
            if switch is not None and switch.datapath is datapath:
                del self._switches[datapath.id]
                self._confirmed.discard(switch)
                _log.warning("switch %s disconnected", switch.name)

    @set_ev_cls(_REPLIES, MAIN_DISPATCHER)
    def _replied(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.reply(event.msg)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def _refused(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.refuse(f"OpenFlow error type {event.msg.type} code {event.msg.code}")


def _confirm(switches: Iterable[SwitchConnection], give_up_s: float) -> None:
    """Wait until each switch has carried out all that it was sent."""
    for switch, confirmation in [(switch, switch.confirm()) for switch in switches]:
        _await(switch, confirmation, give_up_s)
        if switch.refusal is not None:
            raise EmulationError(f"switch {switch.name} reported {switch.refusal}")


def _await(switch: SwitchConnection, reply: Future[_Value], give_up_s: float) -> _Value:
    try:
        return reply.result(max(0.0, give_up_s - time.monotonic()))
    except NoReplyError as error:
        raise EmulationError(f"switch {switch.name} has not replied in time") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the controller until SIGTERM or SIGINT; returns the exit status."""
    options = _parser().parse_args(arguments)
    line = "%(asctime)s %(name)s %(levelname)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=line)
    logging.getLogger("os_ken").setLevel(logging.WARNING)
    logging.getLogger("ryu").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as SIGINT: KeyboardInterrupt
    try:
        network = routes.decode_network(_read(options.network))
        application = framework.start(ShortestPath, options.address, options.port, network=network)
        with northbound.serve(options.northbound, application.answer):
            threading.Event().wait()
    except KeyboardInterrupt:
        _log.info("ended by a signal")
        return EXIT_COMPLETE
    except TestbedError as error:
        _log.error("%s", error)
        return error.exit_status
    except OSError as error:
        where = f"{options.address} port {options.port} and {options.northbound}"
        _log.error("cannot listen at %s: %s", where, error)
    return EXIT_BAD_CONFIGURATION


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"description of the network: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controllers.shortest_path",
        description="OpenFlow 1.3 controller: shortest paths installed ahead of time, handovers"
        " confirmed by barriers, counters. Runs until SIGTERM.",
    )
    network = "JSON description of switches, links (rates in bit/s), hosts and clients"
    socket = "Unix socket to make, for requests as lines of JSON (deadlines in seconds)"
    parser.add_argument("--network", type=Path, required=True, metavar="FILE", help=network)
    parser.add_argument("--northbound", type=Path, required=True, metavar="PATH", help=socket)
    parser.add_argument(
        "--address", default="127.0.0.1", help="IP address to listen at, 127.0.0.1 by default"
    )
    parser.add_argument(
        "--port", type=int, default=6653, help="TCP port for the switches, 6653 by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
