"""IP addresses as numbers, so that columns of them can be compared and grouped fast."""

from __future__ import annotations

import ipaddress

import numpy as np

from testbed.arrays import IntArray

#: The code of a packet without an IP address.
NONE = 0
_FIRST_IPV6 = 1 << 32  # IPv4 addresses are their own codes
_BYTES = 16


class AddressBook:
    """Codes of IP addresses: an IPv4 address's number, and beyond 2**32 in order of appearance."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._addresses: list[bytes] = []

    def ipv6_codes(self, data: bytearray, at: IntArray) -> IntArray:
        """Return the codes of the IPv6 addresses that begin at these places: int64, (n,)."""
        octets = np.frombuffer(data, np.uint8)[at[:, None] + np.arange(_BYTES)]
        keys = np.ascontiguousarray(octets).view(f"V{_BYTES}").ravel()
        different, inverse = np.unique(keys, return_inverse=True)
        codes = np.array([self._code(each.tobytes()) for each in different], np.int64)
        return codes[inverse.ravel()]

    def text(self, code: int) -> str:
        """Return an address as people write it; "" for NONE."""
        if code == NONE:
            return ""
        if code < _FIRST_IPV6:
            return str(ipaddress.IPv4Address(code))
        return str(ipaddress.IPv6Address(self._addresses[code - _FIRST_IPV6]))

    def _code(self, address: bytes) -> int:
        if address not in self._known:
            self._known[address] = _FIRST_IPV6 + len(self._addresses)
            self._addresses.append(address)
        return self._known[address]
