"""The headers of many packets at once: link, IP, TCP and UDP fields as columns.

A packet that is not IP, or whose capture ends before a header does, has zeros in the columns that
could not be read. IPv6 extension headers are not followed: such packets count with their addresses
and lengths, without ports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.analysis.captures.address_book import NONE, AddressBook
from testbed.analysis.captures.record_walk import field_at
from testbed.arrays import BoolArray, IntArray

NULL, ETHERNET, RAW_IP, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
LINK_TYPES = frozenset((NULL, ETHERNET, RAW_IP, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2))

ETHERNET_HEADER_BYTES = 14
TCP, UDP = 6, 17

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6 = 0x0800, 0x86DD
_VLAN_TAGS, _MAX_TAGS = (0x8100, 0x88A8, 0x9100), 4
_ENCAPSULATIONS = (*_VLAN_TAGS, 0x8847, 0x8848, 0x8864)  # more tags, MPLS, PPPoE
_FIN, _SYN = 0x01, 0x02
_SLL_OUTGOING = 4
_IPV4_BYTES, _IPV6_BYTES, _TCP_BYTES, _UDP_BYTES = 20, 40, 20, 8
_NULL_BYTES = 4

#: Why a packet's columns are not to be trusted altogether; 0 where they are.
MALFORMED, ENCAPSULATED, UNSEQUENCED, FRAGMENT = 1, 2, 3, 4


@dataclass(frozen=True)
class LinkColumns:
    """Link-layer columns, each (n,)."""

    header_bytes: IntArray  # in the capture file
    frame_header_bytes: IntArray  # of the Ethernet frame on the wire
    ip_version: IntArray  # 4 or 6, with its fixed header captured; else 0
    doubt: IntArray  # MALFORMED: IPv4 with a header shorter than can be, ip_version 0; ENCAPSULATED
    direction: IntArray  # 0 unknown, 1 inbound, 2 outbound at the capturing host
    ifindex: IntArray  # of the capturing host, -1 where the link type does not tell


@dataclass(frozen=True)
class Transport:
    """Network and transport columns, each (n,); addresses are an AddressBook's codes."""

    src: IntArray
    dst: IntArray
    protocol: IntArray
    src_port: IntArray
    dst_port: IntArray
    header_bytes: IntArray  # of IP and TCP or UDP together
    payload_bytes: IntArray  # what IP, TCP or UDP carried when it was on the wire
    sequence: IntArray  # TCP's number of the first payload byte, or of the SYN; -1 if not captured
    syn: BoolArray
    fin: BoolArray
    #: 0; MALFORMED: lengths in the headers contradict each other or the frame's; ENCAPSULATED: in
    #: what is not looked into; UNSEQUENCED: TCP whose sequence number was not captured; FRAGMENT:
    #: of an IP packet, without its ports.
    doubt: IntArray


def link_fields(
    data: bytearray, link_type: int, start: IntArray, captured: IntArray
) -> LinkColumns:
    """Read the link-layer headers of packets of one link type out of `LINK_TYPES`."""
    constant = np.ones_like(start)
    direction, ifindex = 0 * constant, -constant
    header, ethertype = 0 * constant, None
    if link_type == ETHERNET:
        header = ETHERNET_HEADER_BYTES * constant
        ethertype = field_at(data, ">u2", start + 12)
    elif link_type in (LINUX_SLL, LINUX_SLL2):
        sll2 = link_type == LINUX_SLL2
        header = constant * (20 if sll2 else 16)
        ethertype = field_at(data, ">u2", start + (0 if sll2 else 14))
        packet_type = field_at(data, ">u1", start + (10 if sll2 else 1))
        direction = np.where(packet_type == _SLL_OUTGOING, 2, 1)
        if sll2:
            ifindex = field_at(data, ">u4", start + 4)
    elif link_type in (NULL, LOOP):
        header = constant * _NULL_BYTES
    tags, encapsulated = 0 * constant, constant < 0
    if ethertype is not None:
        tags, ethertype = _behind_tags(data, start + header, ethertype)
        header = header + tags
        encapsulated = np.isin(ethertype, _ENCAPSULATIONS)
    first_byte = field_at(data, ">u1", start + header)
    version, malformed = _ip_version(first_byte, ethertype, captured - header)
    frame_header = ETHERNET_HEADER_BYTES + tags
    doubt = np.where(malformed, MALFORMED, ENCAPSULATED * encapsulated)
    return LinkColumns(header, frame_header, version, doubt, direction, ifindex)


def _ip_version(
    first_byte: IntArray, ethertype: IntArray | None, captured: IntArray
) -> tuple[IntArray, BoolArray]:
    """Return the version, and whether it is 4 with an impossible header length."""
    is_4 = (first_byte >> 4 == 4) & (captured >= _IPV4_BYTES)
    is_6 = (first_byte >> 4 == 6) & (captured >= _IPV6_BYTES)
    if ethertype is not None:
        is_4 &= ethertype == _ETHERTYPE_IPV4
        is_6 &= ethertype == _ETHERTYPE_IPV6
    malformed = is_4 & (4 * (first_byte & 15) < _IPV4_BYTES)
    return np.where(is_4 & ~malformed, 4, np.where(is_6, 6, 0)), malformed


def _behind_tags(data: bytearray, at: IntArray, ethertype: IntArray) -> tuple[IntArray, IntArray]:
    """Return the bytes of the VLAN tags that begin at these places, and the EtherType behind."""
    tags = np.zeros_like(at)
    for _ in range(_MAX_TAGS):
        tagged = np.isin(ethertype, _VLAN_TAGS)
        if not tagged.any():
            break
        behind = field_at(data, ">u2", np.where(tagged, at + tags + 2, at))
        ethertype = np.where(tagged, behind, ethertype)
        tags = tags + 4 * tagged
    return tags, ethertype


@dataclass(frozen=True)
class _IpColumns:
    """IP columns, each (n,)."""

    header_bytes: IntArray
    length: IntArray  # of the packet on the wire, header included
    src: IntArray
    dst: IntArray
    protocol: IntArray
    has_transport: BoolArray  # not a later fragment
    malformed: BoolArray  # longer than the frame, whose length is taken then


def transport_fields(
    data: bytearray,
    link: LinkColumns,
    start: IntArray,
    captured: IntArray,
    original: IntArray,
    book: AddressBook,
) -> Transport:
    """Read IP, TCP and UDP headers; lengths are those on the wire, not those captured."""
    ip = start + link.header_bytes
    network = _network_fields(data, ip, link.ip_version, original - link.header_bytes, book)
    transport = ip + network.header_bytes
    left = start + captured - transport
    is_tcp = network.has_transport & (network.protocol == TCP) & (left >= 4)
    is_udp = network.has_transport & (network.protocol == UDP) & (left >= 4)
    has_ports = is_tcp | is_udp
    whole_tcp = is_tcp & (left >= 14)
    stated = np.where(whole_tcp, (field_at(data, ">u1", transport + 12) >> 4) * 4, _TCP_BYTES)
    tcp_header = np.maximum(stated, _TCP_BYTES)
    header = network.header_bytes + np.where(is_tcp, tcp_header, _UDP_BYTES * is_udp)
    contradictory = (link.ip_version > 0) & (header > network.length) | (stated < tcp_header)
    flags = np.where(whole_tcp, field_at(data, ">u1", transport + 13), 0)
    return Transport(
        src=network.src,
        dst=network.dst,
        protocol=network.protocol,
        src_port=np.where(has_ports, field_at(data, ">u2", transport), 0),
        dst_port=np.where(has_ports, field_at(data, ">u2", transport + 2), 0),
        header_bytes=header,
        payload_bytes=np.maximum(network.length - header, 0),
        sequence=np.where(whole_tcp, field_at(data, ">u4", transport + 4), -1),
        syn=flags & _SYN > 0,
        fin=flags & _FIN > 0,
        doubt=np.select(
            [
                link.doubt > 0,
                network.malformed | contradictory,
                (link.ip_version > 0) & ~network.has_transport,
                (network.protocol == TCP) & ~whole_tcp,
            ],
            [link.doubt, MALFORMED, FRAGMENT, UNSEQUENCED],
        ),
    )


def _network_fields(
    data: bytearray, ip: IntArray, version: IntArray, on_link: IntArray, book: AddressBook
) -> _IpColumns:
    is_4 = version == 4
    length = np.where(is_4, field_at(data, ">u2", ip + 2), 0)
    columns = {
        "header_bytes": np.where(is_4, (field_at(data, ">u1", ip) & 15) * 4, 0),
        "src": np.where(is_4, field_at(data, ">u4", ip + 12), NONE),
        "dst": np.where(is_4, field_at(data, ">u4", ip + 16), NONE),
        "protocol": np.where(is_4, field_at(data, ">u1", ip + 9), 0),
    }
    has_transport = is_4 & (field_at(data, ">u2", ip + 6) & 0x1FFF == 0)
    six = np.flatnonzero(version == 6)
    if len(six):
        at = ip[six]
        payload = field_at(data, ">u2", at + 4)
        length[six] = np.where(payload > 0, payload + _IPV6_BYTES, 0)
        columns["header_bytes"][six] = _IPV6_BYTES
        columns["src"][six] = book.ipv6_codes(data, at + 8)
        columns["dst"][six] = book.ipv6_codes(data, at + 24)
        columns["protocol"][six] = field_at(data, ">u1", at + 6)
        has_transport[six] = True
    # Segments beyond 64 kB carry length 0; otherwise the length excludes Ethernet's padding.
    return _IpColumns(
        length=np.where((length > 0) & (length <= on_link), length, on_link),
        has_transport=has_transport,
        malformed=length > on_link,
        **columns,
    )
