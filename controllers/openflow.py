"""One connected OpenFlow 1.3 switch: messages to it, and the replies that are awaited from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from controllers.routes import FlowAction, FlowChange
from testbed.errors import EmulationError

ROUTE_PRIORITY = 1
MISS_PRIORITY = 0
ROUTE_TABLE = 0
ROUTE_COOKIE, MISS_COOKIE = 0, 1
ETHERTYPE_IPV4 = 0x0800


class SwitchConnection:
    """A switch's connection (`datapath` of the framework); usable from several threads.

    Requests return a future; `reply` fulfils it when the switch's answer comes in.
    """

    def __init__(self, name: str, datapath: Any) -> None:
        self.name = name
        self.datapath = datapath
        self.refusal: str | None = None  # the first error reported since it connected
        self._lock = threading.Lock()
        self._awaited: dict[int, Future[Any]] = {}
        self._parts: dict[int, list[Any]] = {}

    def install(self, table: Mapping[str, FlowAction]) -> None:
        """Replace what the switch holds by the table and an entry that drops and counts misses."""
        ofproto, parser = self.datapath.ofproto, self.datapath.ofproto_parser
        delete = {"command": ofproto.OFPFC_DELETE, "table_id": ofproto.OFPTT_ALL}
        anywhere = {"out_port": ofproto.OFPP_ANY, "out_group": ofproto.OFPG_ANY}
        self._send(parser.OFPFlowMod(self.datapath, **delete, **anywhere))
        self._send(parser.OFPFlowMod(self.datapath, cookie=MISS_COOKIE, priority=MISS_PRIORITY))
        for address, action in table.items():
            self.change(FlowChange(self.datapath.id, "add", address, action, hops=0))

    def change(self, change: FlowChange) -> None:
        """Send one change of the flow table."""
        self._send(flow_mod(self.datapath, change))

    def confirm(self) -> Future[None]:
        """Ask for a barrier reply: all that was sent before has then been carried out."""
        return self._request(self.datapath.ofproto_parser.OFPBarrierRequest(self.datapath))

    def port_counters(self) -> Future[Any]:
        """Ask for the list of every port's OFPPortStats."""
        ofproto, parser = self.datapath.ofproto, self.datapath.ofproto_parser
        return self._request(parser.OFPPortStatsRequest(self.datapath, 0, ofproto.OFPP_ANY))

    def flow_counters(self) -> Future[Any]:
        """Ask for the list of every route's OFPFlowStats."""
        request = self.datapath.ofproto_parser.OFPFlowStatsRequest
        return self._count(request, ROUTE_TABLE, ROUTE_COOKIE)  # other tables are Open vSwitch's

    def missed_packets(self) -> Future[Any]:
        """Ask for the OFPAggregateStats of the table-miss entry."""
        request = self.datapath.ofproto_parser.OFPAggregateStatsRequest
        return self._count(request, self.datapath.ofproto.OFPTT_ALL, MISS_COOKIE)

    def _count(self, request: Callable[..., Any], table: int, cookie: int) -> Future[Any]:
        """Ask for counters of the entries of a table that have this cookie."""
        ofproto, match = self.datapath.ofproto, self.datapath.ofproto_parser.OFPMatch()
        anywhere = ofproto.OFPP_ANY, ofproto.OFPG_ANY
        return self._request(request(self.datapath, 0, table, *anywhere, cookie, 2**64 - 1, match))

    def reply(self, message: Any) -> None:
        """Take in a reply; one in several parts counts when the last part is there."""
        xid = message.xid
        if getattr(message, "flags", 0) & self.datapath.ofproto.OFPMPF_REPLY_MORE:
            self._parts.setdefault(xid, []).extend(message.body)
            return
        with self._lock:
            future = self._awaited.pop(xid, None)
        earlier = self._parts.pop(xid, [])
        if future is not None:
            body = getattr(message, "body", None)
            future.set_result(earlier + body if isinstance(body, list) else body)

    def refuse(self, error: str) -> None:
        """Take in an error that the switch reported; the first one is kept as `refusal`."""
        self.refusal = self.refusal or error

    def _request(self, message: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._send(message, future)
        return future

    def _send(self, message: Any, future: Future[Any] | None = None) -> None:
        with self._lock:
            xid = self.datapath.set_xid(message)
            if future is not None:
                self._awaited[xid] = future
            if not self.datapath.send_msg(message) and future is not None:
                del self._awaited[xid]
                future.set_exception(EmulationError(f"switch {self.name} has disconnected"))


def flow_mod(datapath: Any, change: FlowChange) -> Any:
    """Return the OFPFlowMod message for a change of a flow table."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    command = {
        "add": ofproto.OFPFC_ADD,
        "modify": ofproto.OFPFC_MODIFY_STRICT,
        "delete": ofproto.OFPFC_DELETE_STRICT,
    }[change.command]
    instructions = []
    if change.action is not None:
        actions = [parser.OFPActionOutput(change.action.port)]
        if change.action.set_eth_dst is not None:
            actions.insert(0, parser.OFPActionSetField(eth_dst=change.action.set_eth_dst))
        instructions = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, actions)]
    return parser.OFPFlowMod(
        datapath,
        command=command,
        priority=ROUTE_PRIORITY,
        out_port=ofproto.OFPP_ANY,
        out_group=ofproto.OFPG_ANY,
        match=parser.OFPMatch(eth_type=ETHERTYPE_IPV4, ipv4_dst=change.address),
        instructions=instructions,
    )
