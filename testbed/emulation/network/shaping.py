"""The rates of all links, owned in one place: HTB on the sending side of each direction.

A rate counts Ethernet frames as they would be on a wire (headers of each 1,514-byte frame
included), so TCP's goodput is at most 1448/1514 of it. Wireless queues keep two classes that share
the rate equally and lend each other what they do not use: layers being uploaded, and everything
else. Linux's Wi-Fi stack treats flows so (FQ-CoDel per station, mac80211 since 4.11); one FIFO
would put every query behind the upload.

Propagation delay needs netem, which not every kernel has. Without it links have none, and the run
says so: a delay line in user space would take every packet off the kernel's path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from testbed.emulation.network.qdiscs import set_qdiscs
from testbed.protocol.messages import PORTS
from testbed.settings.experiment import Backhaul, Wireless

#: TCP hands so many frames down at once, as Wi-Fi aggregates them: an A-MPDU holds up to 64 kB and
#: lasts up to 5.5 ms (IEEE 802.11-2016, 9.7 and 10.13); this is 3.5 ms at 35 Mbit/s. With segments
#: of 64 kB a link would be bursty; frame by frame it costs several times the processor.
AGGREGATED_FRAMES = 10
#: Hosts hand so many frames at once to the backhaul: 0.13 ms at 1 Gbit/s. With segments of 64 kB
#: twenty flows through one queue of 1 MB lose whole windows at a time, and share it unequally.
SEGMENT_FRAMES = 11
FRAME_BYTES = 1514
_MIN_BURST_BYTES = 15_000  # ten frames, as Mininet's TCIntf
_YIELDING_SHARE = 0.01  # a class that had none would be starved, and its connections with it
_GSO_BURST_BYTES = 128 << 10  # two segments of 64 kB, which the backhaul carries unsplit


@dataclass(frozen=True)
class Shape:
    """A direction of a link: rate in bit/s and limit of each of its queues in bytes."""

    rate_bps: float
    queue_bytes: int
    fair_to_queries: bool = False  # two classes: layers being uploaded, and the rest
    migrations_yield: bool = False  # two classes: all else, and migrations in what it leaves
    gso: bool = False  # whether frames arrive as segments of up to 64 kB
    segment_frames: int = 1  # that come at once, at most
    delay_s: float = 0.0  # of propagation; wall seconds, as the rate is of wall time


def wireless_shape(settings: Wireless, rate_bps: float, delay_s: float, tdf: float) -> Shape:
    """Return the shape of a direction of a wireless link; rate and delay are of emulated time."""
    return Shape(
        rate_bps / tdf,
        settings.queue_bytes,
        fair_to_queries=True,
        segment_frames=AGGREGATED_FRAMES,
        delay_s=delay_s * tdf,
    )


def backhaul_shape(settings: Backhaul, rate_bps: float, delay_s: float, tdf: float) -> Shape:
    """Return the shape of a direction of a backhaul link; rate and delay are of emulated time."""
    return Shape(
        rate_bps / tdf,
        settings.queue_bytes,
        gso=True,
        migrations_yield=settings.migration_class == "lower",
        segment_frames=SEGMENT_FRAMES,
        delay_s=delay_s * tdf,
    )


def tc_commands(interface: str, shape: Shape) -> list[str]:
    """Return the `tc -batch` lines that put a shape on an interface, replacing what was there."""
    rate = round(shape.rate_bps)
    burst = _GSO_BURST_BYTES if shape.gso else _MIN_BURST_BYTES
    device = f"dev {interface}"
    classes = f"burst {burst} cburst {burst}"
    lines = [
        f"qdisc replace {device} root handle 1: htb default 10",
        f"class replace {device} parent 1: classid 1:1 htb rate {rate}bit ceil {rate}bit {classes}",
    ]
    for leaf, (share, order) in _classes(shape).items():
        lines += [
            f"class replace {device} parent 1:1 classid 1:{leaf} htb rate {int(rate * share)}bit "
            f"ceil {rate}bit {classes} quantum {FRAME_BYTES} prio {order}",
            f"qdisc replace {device} parent 1:{leaf} handle {leaf}: {_queue(shape)}",
        ]
    second = "upload" if shape.fair_to_queries else "migration" if shape.migrations_yield else None
    if second:
        lines.append(
            f"filter replace {device} parent 1: protocol ip prio 1 handle 800::1 u32 "
            f"match ip protocol 6 0xff match ip dport {PORTS[second]} 0xffff flowid 1:20"
        )
    return lines


def _classes(shape: Shape) -> dict[str, tuple[float, int]]:
    """Return each class's assured share of the rate, and its place in taking what is left."""
    if shape.fair_to_queries:
        return {"10": (0.5, 0), "20": (0.5, 0)}
    if shape.migrations_yield:
        return {"10": (1 - _YIELDING_SHARE, 0), "20": (_YIELDING_SHARE, 1)}
    return {"10": (1.0, 0)}


def _queue(shape: Shape) -> str:
    """Return the queue of a class: of bytes, or of packets that are held for the delay first."""
    if not shape.delay_s:
        return f"bfifo limit {shape.queue_bytes}"
    on_the_way = shape.rate_bps / 8 * shape.delay_s
    segment_bytes = FRAME_BYTES * shape.segment_frames  # what netem counts as a packet
    packets = math.ceil((on_the_way + shape.queue_bytes) / segment_bytes)
    return f"netem delay {round(shape.delay_s * 1e6)}us limit {packets}"


def apply(shapes: dict[str, Shape]) -> None:
    """Shape interfaces of this thread's network namespace; EmulationError if the kernel refuses."""
    lines = (line for interface, shape in shapes.items() for line in tc_commands(interface, shape))
    set_qdiscs(lines, shapes)
