"""What tables a run has: every column with its type, unit and meaning.

`TABLES` and `CAPTURE_TABLES` are the one description of every column; `docs/run-folder.md` says the
same to people. Times are seconds of emulated time since the run's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Column:
    """A column: pandas `dtype`, `unit` ("" for none) and meaning; nullable where said.

    Integers count something and are not below 0, unless signed.
    """

    name: str
    meaning: str
    dtype: str
    unit: str = ""
    nullable: bool = False
    signed: bool = False


_text = partial(Column, dtype="string")
_count = partial(Column, dtype="int64")
_size = partial(Column, dtype="int64", unit="bytes")
_time = partial(Column, dtype="float64", unit="s")
_metres = partial(Column, dtype="float64", unit="m")
_rate = partial(Column, dtype="float64", unit="Mbit/s")
_flag = partial(Column, dtype="bool")

TABLES: dict[str, tuple[Column, ...]] = {
    "queries": (
        _text("client", "client that raised the query"),
        _count("query", "number of the query at its client, from 0"),
        _time("raised_s", "when the client raised it"),
        _time("answered_s", "when the client had the answer"),
        _time("latency_s", "answered_s - raised_s"),
        _text(
            "edge",
            "edge server that executed a part (`cloud` with that policy); null when local",
            nullable=True,
        ),
        _count("executed_layers_client", "layers executed at the client"),
        _count("executed_layers_server", "layers executed at the edge server"),
        _size("bytes_up", "tensors sent to the edge server"),
        _size("bytes_down", "tensors received from the edge server"),
        _flag("cold_start", "raised while the attached server lacked some of the plan's layers"),
        _text("outcome", "remote, local, or fallback: the server failed, the client finished it"),
        _text("compute", "how layers were computed: real, memo or profile"),
        _time("late_s", "how much later than the device's time computations ended, summed"),
        Column(
            "verified",
            "the answer equals that of the whole model, executed once more; null when not compared",
            "boolean",
            nullable=True,
        ),
        Column(
            "computed",
            "each of its segments was executed in PyTorch from what came over the sockets, and gave"
            " what was answered; null in a simulation",
            "boolean",
            nullable=True,
        ),
    ),
    "transfers": (
        _text("client", "client that the layers belong to"),
        _text("source", "node that sent: an access point, or the client in an upload"),
        _text("destination", "access point whose edge server received"),
        _text("cause", "migration or upload"),
        _time("started_s", "when the first byte was sent"),
        _time("ended_s", "when the last byte was acknowledged or the transfer broke off"),
        _count("layers", "layers that were sent"),
        _size("bytes", "weights that were sent"),
        _size("frame_bytes", "the protocol's own around them: preambles, headers, the opening"),
        _size(
            "unsent_bytes",
            "of both, what the sender's kernel had not put on the wire when the transfer ended;"
            " below 0 where it had sent what was not counted yet",
            signed=True,
        ),
        _count("source_port", "TCP port of the sender; 0 in a simulated run"),
        _size(
            "wire_bytes",
            "Ethernet frames that the sender put on the wire, by the kernel's counters",
        ),
        _size("skipped_bytes", "weights not sent since they were already there"),
        _flag("complete", "everything wanted had arrived at the end"),
    ),
    "handovers": (
        _text("client", "client that moved"),
        _text("from_ap", "access point that it left; null for its first attachment", nullable=True),
        _text("to_ap", "access point that it attached to"),
        _time("trace_s", "when the trace says it moved"),
        _time("moved_s", "when its link had been moved", nullable=True),
        _time("routed_s", "when the switches confirmed its route (barrier)", nullable=True),
        _time("first_byte_s", "when the client first heard the new server", nullable=True),
        _size("present_bytes", "weights of the plan's server side present on attachment"),
        _size("wanted_bytes", "weights of the plan's server side"),
        _flag("hit", "all server-side layers of the plan were at the server that executes"),
    ),
    "predictions": (
        _text("client", "client"),
        _time("time_s", "when the prediction was made"),
        _text("current_ap", "access point that the client was attached to"),
        _metres("x_m", "where the client was"),
        _metres("y_m", "where the client was"),
        _metres("predicted_x_m", "where it was expected one interval later"),
        _metres("predicted_y_m", "where it was expected one interval later"),
        _metres("actual_x_m", "where it was one interval later; null if unknown", nullable=True),
        _metres("actual_y_m", "where it was one interval later; null if unknown", nullable=True),
        _metres("error_m", "distance of expected and actual position", nullable=True),
        _text(
            "offered",
            "access points that were offered layers, joined by spaces; the current one among"
            " them holds what it has",
        ),
    ),
    "backhaul": (
        _text("server", "access point whose backhaul link it is; cloud, where that sends images"),
        _count("interval", "number of the interval, from 0; config.json has its length"),
        _text("direction", "uplink (the server sends) or downlink (it receives)"),
        _text("cause", "migration, upload, query, control or other, by TCP port"),
        _size("bytes", "Ethernet frames, headers included"),
        _rate("mbps", "bytes * 8 / 10^6 / length of the interval in emulated time"),
        _count("packets", "captured packets; one may be a segment of several frames"),
    ),
}

#: What only an emulated run has.
CAPTURE_TABLES: dict[str, tuple[Column, ...]] = {
    "executions": (
        _text("client", "client whose query it is"),
        _count("query", "number of the query at its client"),
        _text("node", "client or edge server whose segment it is"),
        _count("first_layer", "first layer of the segment"),
        _count("last_layer", "last layer of the segment"),
        _flag("whole", "the whole query, once more, to compare its answer"),
        _time("done_s", "when it was done; after the run's end for what was left then"),
        Column("processor_s", "time of a processor that it took", "float64", "s (wall)"),
        _flag("in_time", "what it gave was handed out; else it is what had been replayed"),
        _flag("equal", "it gave what was handed out, within floating-point tolerance"),
        _text("device", "what executed it: cpu or cuda"),
    ),
    "gpu": (
        _time("time_s", "when this machine's GPU was read"),
        _count("clients", "clients that had work there in the past second"),
        Column("kernel_utilisation", "share of it in which kernels ran", "float64", "1", True),
        Column("memory_utilisation", "share in which memory was used", "float64", "1", True),
        _size("memory_used_bytes", "memory in use, by all processes; 0 if not measured"),
        Column("temperature_c", "its temperature", "float64", "degrees Celsius", True),
    ),
    "plans": (
        _text("client", "client whose current partitioning plan it is"),
        _time("time_s", "when the master made it"),
        _text("server", "edge server that executes for the client"),
        _text("cause", "attachment, or report: a report of where the client is"),
        _flag("told", "told to the client: at its attachment, and when it had changed"),
        _rate(
            "up_mbps",
            "uplink that it was made for: the configured rate, or the goodput that queries had in"
            " the interval before, in steps of a tenth from there",
        ),
        _rate("down_mbps", "downlink that it was made for, likewise"),
        _time("server_s", "estimated time of all layers at the server, at its load"),
        _time("latency_s", "expected of a query once the server has all of the plan's layers"),
        _count("layers_server", "layers that run at the server"),
        _size("upload_bytes", "weights of these layers"),
    ),
    "flows": (
        _text("interface", "access point at whose backhaul link the flow was captured"),
        _text("direction", "uplink (the server sends) or downlink (it receives)"),
        _text("src", "IP address of the sender"),
        _count("src_port", "its port; 0 where the protocol has none"),
        _text("dst", "IP address of the receiver"),
        _count("dst_port", "its port"),
        _text("protocol", "tcp, udp, or the number of another"),
        _text("cause", "migration, upload, query, control or other, by TCP port"),
        _time("started_s", "when its first packet was captured"),
        _time("duration_s", "from its first packet to its last"),
        _count("packets", "captured packets; one may be a segment of several frames"),
        _size("bytes", "Ethernet frames, headers included"),
        _size(
            "captured_bytes",
            "lengths of the packets as the capture states them, with its own link header: what"
            " Wireshark counts",
        ),
        _size("payload_bytes", "TCP or UDP payload, repeated bytes included"),
        _size("retransmitted_bytes", "TCP payload that had been captured before"),
        _size(
            "missing_bytes",
            "TCP payload whose sequence numbers were passed over and never captured",
        ),
        _rate(
            "goodput_mbps",
            "(payload_bytes - retransmitted_bytes) * 8 / 10^6 / duration_s, pauses included; null"
            " for an instant",
            nullable=True,
        ),
    ),
    "counters": (
        _time(
            "time_s",
            "when the switches were asked; null for the first time, as the captures began",
            nullable=True,
        ),
        _text("switch", "switch of the backhaul"),
        _count("port", "number of its port"),
        _text("neighbour", "switch, access point or master at the port's other end"),
        _size("rx_bytes", "received at the port since it was made: what the neighbour sent"),
        _size("tx_bytes", "sent at the port"),
        _count("rx_packets", "received packets; one may be a segment of several frames"),
        _count("tx_packets", "sent packets"),
        _count("rx_dropped", "packets dropped on reception"),
        _count("tx_dropped", "packets dropped on sending"),
    ),
    "flow_counters": (
        _text("switch", "switch of the backhaul"),
        _text("address", "IP address that the route leads to"),
        _count("packets", "packets that followed it, when the replay had ended"),
        _size("bytes", "their Ethernet frames; a segment of several frames has one header"),
    ),
    "witness": (
        _text("server", "access point"),
        _text("direction", "uplink or downlink"),
        _size("captured_bytes", "all its captured packets as Ethernet frames, segments unsplit"),
        _size("counted_bytes", "what its switch's port counted in the same time"),
        Column(
            "difference_share",
            "(captured - counted) / counted; null where nothing was counted",
            "float64",
            nullable=True,
        ),
    ),
    "reconciliation": (
        _text("client", "client that the layers belong to"),
        _text("source", "access point whose edge server sent"),
        _text("destination", "access point whose edge server received"),
        _time("started_s", "when the sender began"),
        _count("source_port", "TCP port of the sender"),
        _size("bytes", "weights that the sender's application handed to its socket"),
        _size("frame_bytes", "the protocol's own around them"),
        _size(
            "unsent_bytes",
            "of both, what its kernel had not sent when the transfer ended",
            signed=True,
        ),
        _size("payload_bytes", "TCP payload captured at the sender's uplink"),
        _size("retransmitted_bytes", "of that, what had been captured before"),
        _size("missing_bytes", "payload that the capture never saw, by its sequence numbers"),
        _size("wire_bytes", "Ethernet frames captured there"),
        _size("header_bytes", "of that, Ethernet, IP and TCP headers"),
        _flag("captured", "whether the capture has the transfer's connection"),
        _size(
            "difference_bytes",
            "(payload - retransmitted + missing) - (bytes + frame - unsent); 0 where all is"
            " explained",
            signed=True,
        ),
    ),
}
