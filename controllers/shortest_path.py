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
from pathlib import Path
from typing import Any, TypeVar

from controllers import routes
from controllers.framework import (
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    Application,
    ofp_event,
    ofproto_v1_3,
    set_ev_cls,
    start,
)
from controllers.northbound import (
    Counters,
    CountersRequest,
    FlowCounters,
    MoveRequest,
    MoveResult,
    PortCounters,
    ReadyRequest,
    ReadyResult,
    Reply,
    Request,
    serve,
)
from controllers.openflow import Switch
from testbed.errors import (
    EXIT_BAD_CONFIGURATION,
    EXIT_COMPLETE,
    ConfigurationError,
    EmulationError,
    TestbedError,
)

_log = logging.getLogger("shortest_path")
_Value = TypeVar("_Value")


class ShortestPath(Application):
    """The application; `answer` is called by the northbound interface's threads.

    Handlers run in the framework's thread and never wait for a switch, since its replies come in by
    that same thread.
    """

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, network: routes.Network) -> None:
        super().__init__()
        self._names = {dpid: name for name, dpid in network.switches.items()}
        self._network = network
        self._tables = routes.flow_tables(network)  # what the switches shall hold, by datapath id
        self._switches: dict[int, Switch] = {}  # connected ones, by datapath id
        self._confirmed: set[Switch] = set()  # those that hold their whole table
        self._state = threading.Condition()  # guards the four above; notified as they change
        self._moving = threading.Lock()  # one move at a time

    def answer(self, request: Request) -> Reply:
        """Carry out a northbound request; raises TestbedError when that fails."""
        if isinstance(request, ReadyRequest):
            return self._ready(request)
        if isinstance(request, MoveRequest):
            return self._move(request)
        return self._count(request)

    def _ready(self, request: ReadyRequest) -> ReadyResult:
        started_s = time.monotonic()
        with self._state:
            if not self._state.wait_for(lambda: not self._unready(), request.deadline_s):
                raise EmulationError(
                    f"after {request.deadline_s:g} s not ready: {'; '.join(self._unready())}"
                )
            flows = sum(map(len, self._tables.values()))
        return ReadyResult(len(self._names), flows, time.monotonic() - started_s)

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

    def _move(self, request: MoveRequest) -> MoveResult:
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
        return MoveResult(len(changes), len(switches), time.monotonic() - started_s)

    def _count(self, request: CountersRequest) -> Counters:
        give_up_s = time.monotonic() + request.deadline_s
        with self._state:
            switches = [self._connected(dpid) for dpid in self._names]
            neighbours = routes.neighbours(self._network)
        asked = [(switch, switch.port_counters(), switch.missed_packets()) for switch in switches]
        asked_flows = [(switch, switch.flow_counters()) for switch in switches if request.flows]
        ports: list[PortCounters] = []
        missed: dict[str, int] = {}
        for switch, port_counters, missed_packets in asked:
            ports += _named(
                switch.name, neighbours[switch.name], _await(switch, port_counters, give_up_s)
            )
            missed[switch.name] = _await(switch, missed_packets, give_up_s).packet_count
        flows = [
            FlowCounters(switch.name, flow.match["ipv4_dst"], flow.packet_count, flow.byte_count)
            for switch, flow_counters in asked_flows
            for flow in _await(switch, flow_counters, give_up_s)
        ]
        return Counters(tuple(ports), missed, tuple(flows))

    def _connected(self, dpid: int) -> Switch:
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
            self._take_in(Switch(self._names[datapath.id], datapath))
        else:
            self._let_go(datapath)

    def _take_in(self, switch: Switch) -> None:
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

    @set_ev_cls(
        [
            ofp_event.EventOFPBarrierReply,
            ofp_event.EventOFPPortStatsReply,
            ofp_event.EventOFPFlowStatsReply,
            ofp_event.EventOFPAggregateStatsReply,
        ],
        MAIN_DISPATCHER,
    )
    def _replied(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.reply(event.msg)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def _refused(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.refuse(f"OpenFlow error type {event.msg.type} code {event.msg.code}")


def _confirm(switches: Iterable[Switch], give_up_s: float) -> None:
    """Wait until each switch has carried out all that it was sent."""
    for switch, confirmation in [(switch, switch.confirm()) for switch in switches]:
        _await(switch, confirmation, give_up_s)
        if switch.refusal is not None:
            raise EmulationError(f"switch {switch.name} reported {switch.refusal}")


def _await(switch: Switch, reply: Future[_Value], give_up_s: float) -> _Value:
    try:
        return reply.result(max(0.0, give_up_s - time.monotonic()))
    except NoReplyError as error:
        raise EmulationError(f"switch {switch.name} has not replied in time") from error


def _named(switch: str, neighbours: dict[int, str], stats: Iterable[Any]) -> list[PortCounters]:
    """Return the counters (OFPPortStats) of the ports that lead to a neighbour."""
    return [
        PortCounters(
            switch,
            port.port_no,
            neighbours[port.port_no],
            port.rx_bytes,
            port.tx_bytes,
            port.rx_packets,
            port.tx_packets,
            port.rx_dropped,
            port.tx_dropped,
        )
        for port in stats
        if port.port_no in neighbours
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the controller until SIGTERM or SIGINT; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s: %(message)s"
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as SIGINT: KeyboardInterrupt
    try:
        network = routes.decode_network(_read(options.network))
        application = start(ShortestPath, options.address, options.port, network=network)
        with serve(options.northbound, application.answer):
            threading.Event().wait()
    except KeyboardInterrupt:
        _log.info("ended by a signal")
        return EXIT_COMPLETE
    except TestbedError as error:
        _log.error("%s", error)
        return error.exit_status
    except OSError as error:
        _log.error(
            "cannot listen at %s port %d and %s: %s",
            options.address,
            options.port,
            options.northbound,
            error,
        )
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
    parser.add_argument(
        "--network",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON description of switches, links (rates in bit/s), hosts and clients",
    )
    parser.add_argument(
        "--northbound",
        type=Path,
        required=True,
        metavar="PATH",
        help="Unix socket to make, for requests as lines of JSON (deadlines in seconds)",
    )
    parser.add_argument(
        "--address", default="127.0.0.1", help="IP address to listen at, 127.0.0.1 by default"
    )
    parser.add_argument(
        "--port", type=int, default=6653, help="TCP port for the switches, 6653 by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
