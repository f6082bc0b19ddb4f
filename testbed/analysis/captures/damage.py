"""What of captures could not be read, or makes no sense, in people's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from testbed.analysis.captures.capture_file import CaptureFile, PacketBatch
from testbed.analysis.captures.headers import (
    ENCAPSULATED,
    FRAGMENT,
    LINK_TYPES,
    MALFORMED,
    UNSEQUENCED,
)

_NAMED = 3  # interfaces, of those that a sentence is about
_DOUBTS = {
    MALFORMED: "have lengths in their IP or TCP headers that cannot be true: the frames' count",
    ENCAPSULATED: "are MPLS, PPPoE or in many VLAN tags, which are not looked into: no flows",
    UNSEQUENCED: "are cut before their TCP header's flags: whether they repeat others, and how long"
    " their headers are, is not known",
    FRAGMENT: "are later fragments of IP packets: their ports, and so their cause, are not known",
}


@dataclass
class CaptureReading:
    """How far a capture's packets have been understood."""

    capture: CaptureFile
    packets: int = 0
    ip_packets: int = 0
    doubts: Counter[int] = field(default_factory=Counter)  # by `PacketBatch.doubt`
    interfaces: set[str] = field(default_factory=set)  # named, that hold packets

    def add(self, packets: PacketBatch) -> None:
        """Count a batch."""
        self.packets += len(packets)
        self.ip_packets += int(((packets.src > 0) | (packets.dst > 0)).sum())
        kinds, counts = np.unique(packets.doubt, return_counts=True)
        self.doubts.update(dict(zip(kinds.tolist(), counts.tolist(), strict=True)))
        self.interfaces.update(self.capture.names()[np.unique(packets.interface)].tolist())

    @property
    def understood(self) -> int:
        """Packets of a link type that is understood."""
        return self.packets - self.capture.unknown_link_types.total()

    def problems(self, servers: Collection[str] | None = None) -> Iterator[str]:
        """Yield what is wrong with the capture; `servers` are those of the run it should be of."""
        path, unread = self.capture.path, self.capture.unread_bytes
        reasons = "".join(f"; {each}" for each in sorted(self.capture.description.unread_for))
        if unread and not self.packets:
            yield f"{path}: no packet can be read in {unread:,} bytes{reasons}"
        elif unread:
            yield (
                f"{path}: damaged or cut short: {unread:,} bytes could not be read, beside the"
                f" {self.packets:,} packets that could{reasons}"
            )
        for link_type, count in sorted(self.capture.unknown_link_types.items()):
            yield (
                f"{path}: link type {link_type} is not understood (known are"
                f" {', '.join(map(str, sorted(LINK_TYPES)))}: Ethernet, Linux cooked, loopback and"
                f" raw IP): {count:,} packets are counted by their lengths alone"
            )
        for doubt, said in _DOUBTS.items():
            if self.doubts[doubt]:
                yield f"{path}: {self.doubts[doubt]:,} of {self.packets:,} packets {said}"
        if self.understood and not self.ip_packets:
            known = {each.link_type for each in self.capture.interfaces} & LINK_TYPES
            yield (
                f"{path}: none of {self.understood:,} packets is IP with its header captured, read"
                f" with link type {', '.join(map(str, sorted(known)))}: there are no flows of them"
            )
        elif servers is not None and (foreign := self.interfaces - set(servers)):
            yield (
                f"{path}: holds packets at {_some(foreign)}, where the run has no server: is it"
                " another's?"
            )


def counted_twice(readings: Sequence[CaptureReading], servers: Collection[str]) -> Iterator[str]:
    """Yield which captures of a run hold packets of the same servers."""
    for number, reading in enumerate(readings):
        for other in readings[:number]:
            if both := reading.interfaces & other.interfaces & set(servers):
                yield (
                    f"{reading.capture.path}: holds packets at {_some(both)}, as does"
                    f" {other.capture.path.name}: what is in both is counted twice"
                )


def _some(names: Collection[str]) -> str:
    shown = [name or "an unnamed interface" for name in sorted(names)[:_NAMED]]
    return ", ".join(shown) + (", ..." if len(names) > _NAMED else "")
