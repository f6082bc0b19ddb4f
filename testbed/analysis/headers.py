"""The headers of many packets at once: link, IPv4, TCP and UDP fields as columns.

A packet that is not IPv4, or whose capture ends before a header does, has zeros in the columns
that could not be read. IPv6 is counted by its length only: the testbed's networks disable it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.framing import Int64s, field_at

ETHERNET, RAW_IP, LINUX_SLL, IPV4, LINUX_SLL2 = 1, 101, 113, 228, 276
LINK_TYPES = frozenset((ETHERNET, RAW_IP, LINUX_SLL, IPV4, LINUX_SLL2))

ETHERNET_HEADER_BYTES = 14
TCP, UDP = 6, 17
SYN = 0x02

_ETHERTYPE_IPV4 = 0x0800
_VLAN_TAGS = (0x8100, 0x88A8)
_SLL_OUTGOING = 4
_MIN_IP_BYTES, _MIN_TCP_BYTES, _UDP_BYTES = 20, 20, 8


@dataclass(frozen=True)
class Link:
    """Link-layer columns, each (n,)."""

    header_bytes: Int64s  # in the capture file
    frame_header_bytes: Int64s  # of the Ethernet frame on the wire
    is_ipv4: NDArray[np.bool_]
    direction: Int64s  # 0 unknown, 1 inbound, 2 outbound at the capturing host
    ifindex: Int64s  # of the capturing host, -1 where the link type does not tell


@dataclass(frozen=True)
class Transport:
    """Network and transport columns, each (n,); addresses are IPv4 as numbers."""

    src: NDArray[np.uint32]
    dst: NDArray[np.uint32]
    protocol: Int64s
    src_port: Int64s
    dst_port: Int64s
    header_bytes: Int64s  # of IP and TCP or UDP together
    payload_bytes: Int64s  # what IP, TCP or UDP carried when it was on the wire
    sequence: Int64s  # TCP's number of the first payload byte
    syn: NDArray[np.bool_]


def link_fields(data: bytes, link_type: int, start: Int64s, captured: Int64s) -> Link:
    """Read the link-layer headers of packets of one link type out of `LINK_TYPES`."""
    constant = np.ones_like(start)
    direction, ifindex = 0 * constant, -constant
    header, ethertype = 0 * constant, _ETHERTYPE_IPV4 * constant
    frame_header = ETHERNET_HEADER_BYTES * constant
    if link_type == ETHERNET:
        header, ethertype = _ethernet(data, start)
        frame_header = header
    elif link_type in (LINUX_SLL, LINUX_SLL2):
        sll2 = link_type == LINUX_SLL2
        header = constant * (20 if sll2 else 16)
        ethertype = field_at(data, ">u2", start + (0 if sll2 else 14))
        packet_type = field_at(data, ">u1", start + (10 if sll2 else 1))
        direction = np.where(packet_type == _SLL_OUTGOING, 2, 1)
        if sll2:
            ifindex = field_at(data, ">u4", start + 4)
    version = field_at(data, ">u1", start + header) >> 4
    whole = captured >= header + _MIN_IP_BYTES
    return Link(
        header,
        frame_header,
        whole & (ethertype == _ETHERTYPE_IPV4) & (version == 4),
        direction,
        ifindex,
    )


def _ethernet(data: bytes, start: Int64s) -> tuple[Int64s, Int64s]:
    """Return header length and EtherType, behind up to two VLAN tags."""
    header = np.full_like(start, ETHERNET_HEADER_BYTES)
    ethertype = field_at(data, ">u2", start + header - 2)
    for _ in range(2):
        tagged = np.isin(ethertype, _VLAN_TAGS)
        if not tagged.any():
            break
        header = header + 4 * tagged
        ethertype = field_at(data, ">u2", start + header - 2)
    return header, ethertype


def transport_fields(
    data: bytes, link: Link, start: Int64s, captured: Int64s, original: Int64s
) -> Transport:
    """Read IPv4, TCP and UDP headers; lengths are those on the wire, not those captured."""
    ip = start + link.header_bytes
    is_ip = link.is_ipv4
    ip_header = np.where(is_ip, (field_at(data, ">u1", ip) & 15) * 4, 0)
    total = field_at(data, ">u2", ip + 2)
    # Segments beyond 64 kB carry total length 0; otherwise the total excludes Ethernet's padding.
    on_link = original - link.header_bytes
    length = np.where(is_ip & (total > 0), total, on_link)
    protocol = np.where(is_ip, field_at(data, ">u1", ip + 9), 0)
    first_fragment = field_at(data, ">u2", ip + 6) & 0x1FFF == 0

    transport = ip + ip_header
    left = start + captured - transport
    has_ports = is_ip & first_fragment & np.isin(protocol, (TCP, UDP)) & (left >= 4)
    is_tcp = has_ports & (protocol == TCP)
    whole_tcp = is_tcp & (left >= 14)
    tcp_header = np.where(
        whole_tcp, (field_at(data, ">u1", transport + 12) >> 4) * 4, _MIN_TCP_BYTES
    )
    transport_header = np.select(
        [is_tcp, has_ports], [tcp_header, np.full_like(start, _UDP_BYTES)], default=0
    )
    header = ip_header + transport_header
    return Transport(
        src=np.where(is_ip, field_at(data, ">u4", ip + 12), 0).astype(np.uint32),
        dst=np.where(is_ip, field_at(data, ">u4", ip + 16), 0).astype(np.uint32),
        protocol=protocol,
        src_port=np.where(has_ports, field_at(data, ">u2", transport), 0),
        dst_port=np.where(has_ports, field_at(data, ">u2", transport + 2), 0),
        header_bytes=header,
        payload_bytes=np.maximum(length - header, 0),
        sequence=np.where(whole_tcp, field_at(data, ">u4", transport + 4), 0),
        syn=whole_tcp & (field_at(data, ">u1", transport + 13) & SYN > 0),
    )
