"""The testbed's protocol as a scapy layer, to dissect single packets and to craft test packets.

    >>> from testbed.analysis.captures.dissection import Frame
    >>> from scapy.all import rdpcap
    >>> rdpcap("backhaul.pcapng")[7][Frame].message()

scapy takes some 50 us a packet: for whole captures there is
`testbed.analysis.traffic.traffic_analysis`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from scapy.fields import FieldLenField, StrFixedLenField, StrLenField
from scapy.layers.inet import TCP
from scapy.packet import Packet, Raw, bind_layers

from testbed.errors import ProtocolError
from testbed.protocol.framing import MAGIC, PREAMBLE, frame_head, parse_header
from testbed.protocol.messages import PORTS, AnyMessage


class Frame(Packet):
    """One frame: preamble, header, and what of the body is in this packet.

    Another frame behind it is its payload. A segment that begins within a body is no frame.
    """

    name = "PerDNN"
    fields_desc = [  # noqa: RUF012  scapy's way
        StrFixedLenField("magic", MAGIC, len(MAGIC)),
        FieldLenField("header_bytes", None, length_of="header", fmt="!I"),
        FieldLenField("body_bytes", None, length_of="body", fmt="!Q"),
        StrLenField("header", b"", length_from=lambda frame: frame.header_bytes),
        StrLenField("body", b"", length_from=lambda frame: frame.body_bytes),
    ]

    @classmethod
    def of(cls, message: AnyMessage, body: bytes = b"") -> Frame:
        """Return the frame of a message with its body."""
        return cls(frame_head(message, len(body)) + body)

    @classmethod
    def dispatch_hook(cls, data: bytes = b"", *_: Any, **__: Any) -> type[Packet]:
        """Take only what begins with a frame: a segment may lie within a body."""
        begins = not data or (len(data) >= PREAMBLE.size and data.startswith(MAGIC))
        return cls if begins else Raw

    def message(self) -> AnyMessage:
        """Return the message in the header; ProtocolError if it is none, or not captured whole."""
        if (captured := len(self.header)) < self.header_bytes:
            text = f"{captured} of {self.header_bytes} header bytes are in this packet"
            raise ProtocolError(text)
        return parse_header(self.header)

    def mysummary(self) -> str:
        """Return a line for scapy's summaries: the message's type and the body's length."""
        try:
            kind = str(msgspec.to_builtins(self.message()).get("type"))
        except ProtocolError:
            kind = "truncated"
        return f"PerDNN {kind}, {self.body_bytes} bytes"

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return what stands behind the body: another frame, or a part of one."""
        return self.dispatch_hook(payload)


for _port in PORTS.values():
    bind_layers(TCP, Frame, dport=_port)
    bind_layers(TCP, Frame, sport=_port)
