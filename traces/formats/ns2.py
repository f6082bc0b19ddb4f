"""Movement scenarios of ns-2, as `setdest`, BonnMotion or SUMO write them.

A node is placed by `$node_(0) set X_ 12.3` and the same for `Y_`, and sent off by
`$ns_ at 10.0 "$node_(0) setdest 50 60 1.5"`: from second 10 on towards (50, 60) metres at 1.5 m/s,
in a straight line. It stays where it arrives; an order that comes earlier takes it on from where it
is then. Of the Tcl script around these lines nothing is read, nor is `Z_`.

Source: The ns Manual, chapter "Mobile Networking in ns", section "Generating node movement".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from testbed.arrays import FloatArray
from traces.formats.lines import SHOWN, Collector, LineError, number
from traces.formats.waypoints import sampled
from traces.recording import Content, ReadingRules
from traces.trace_files import Head, open_text

_PLACE = re.compile(r"\$\w+\((?P<node>[^)\s]+)\)\s+set\s+(?P<axis>[XYZ])_\s+(?P<value>\S+)")
_ORDER = re.compile(
    r"\$\w+\s+at\s+(?P<time>\S+)\s+\"\$\w+\((?P<node>[^)\s]+)\)\s+setdest\s+(?P<values>[^\"]*)\""
)
_DESTINATION = ("x", "y", "speed")
_LOOKS_SO = re.compile(r"\bsetdest\b|\bset\s+[XY]_")

_Order = tuple[float, float, float, float]  # seconds, x, y, metres a second


def recognises(head: Head) -> bool:
    """Say whether a line places or sends a node."""
    return any(_PLACE.match(line) or _ORDER.match(line) for line in head.lines)


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return the nodes, called node0, node1, ..., on the scenario's clock.

    All of them last until the last one has arrived, at the next multiple of the step.
    """
    collector = Collector(path, reading)
    nodes: dict[str, _Node] = {}
    with open_text(path) as text:
        for line, words in enumerate(map(str.strip, text), start=1):
            if not words.startswith("#") and _LOOKS_SO.search(words):
                try:
                    _obey(words, nodes)
                except LineError as fault:
                    collector.bad(line, fault)
    ways = {f"node{name}": node.way() for name, node in nodes.items() if node.is_placed}
    end_s = max((way[-1, 0] for way in ways.values()), default=0.0)
    until_s = float(np.ceil(end_s / reading.sample_s)) * reading.sample_s
    return Content(sampled(path, ways, reading.sample_s, until_s), collector.dropped)


@dataclass
class _Node:
    """What is known of a node: where it starts, and where it is sent when."""

    place: dict[str, float] = field(default_factory=dict)
    orders: list[_Order] = field(default_factory=list)

    @property
    def is_placed(self) -> bool:
        """Whether both coordinates of its start are known."""
        return {"X", "Y"} <= self.place.keys()

    def way(self) -> FloatArray:
        """Return its waypoints: rows of seconds, x and y, (n, 3)."""
        waypoints = [(0.0, self.place["X"], self.place["Y"])]
        orders = sorted(self.orders, key=lambda order: order[0])
        ends_s = [*(order[0] for order in orders[1:]), math.inf]
        for (time_s, x_m, y_m, speed), end_s in zip(orders, ends_s, strict=False):
            ordered_s, from_x_m, from_y_m = max(time_s, waypoints[-1][0]), *waypoints[-1][1:]
            waypoints.append((ordered_s, from_x_m, from_y_m))
            dx_m, dy_m = x_m - from_x_m, y_m - from_y_m
            length_m = math.hypot(dx_m, dy_m)
            if not speed or not length_m:
                continue
            takes_s = length_m / speed
            late = ordered_s + takes_s > end_s
            share = (end_s - ordered_s) / takes_s if late else 1.0
            waypoints.append(
                (ordered_s + share * takes_s, from_x_m + share * dx_m, from_y_m + share * dy_m)
            )
        return np.array(waypoints)


def _obey(words: str, nodes: dict[str, _Node]) -> None:
    """Apply a line that places or sends a node; LineError if it is malformed."""
    if place := _PLACE.match(words):
        value = number(place["value"], f"{place['axis']}_")
        nodes.setdefault(place["node"], _Node()).place[place["axis"]] = value
        return
    order = _ORDER.match(words)
    if order is None:
        raise LineError(f"expected a node to be placed or sent, found {words[:SHOWN]!r}")
    values = order["values"].split()
    if len(values) != len(_DESTINATION):
        raise LineError(f"expected setdest x y speed, found {len(values)} values")
    time_s = number(order["time"], "seconds")
    x_m, y_m, speed = map(number, values, _DESTINATION)
    if time_s < 0 or speed < 0:
        raise LineError(f"time and speed must not be negative, found {time_s:g} s, {speed:g} m/s")
    node = nodes.get(order["node"])
    if node is None or not node.is_placed:
        raise LineError(f"node {order['node']} is sent off before its X_ and Y_ are set")
    node.orders.append((time_s, x_m, y_m, speed))
