"""Quantities with units: parsing what people write, printing what people read.

SI throughout: 1 MB is 10**6 bytes, 1 Mbit/s is 10**6 bit/s. Inside the code a rate is always in
bit/s, a size in bytes and a time in seconds; the unit stands in the name (`_bps`, `_bytes`, `_s`).
"""

from __future__ import annotations

import re

from testbed.errors import ConfigurationError

#: Payload of a full TCP segment (timestamps on), and the share of a rate that it is: of a frame of
#: 1,514 bytes; preamble, check sequence and gap are not counted.
TCP_SEGMENT_BYTES = 1448
TCP_GOODPUT_SHARE = TCP_SEGMENT_BYTES / 1514

_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_QUANTITY = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z/]*)\s*$", re.IGNORECASE)
_TIMES = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}


def _split(text: str, what: str) -> tuple[float, str]:
    match = _QUANTITY.match(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is not a {what}")
    return float(match.group(1)), match.group(2).lower()


def parse_rate(text: str) -> float:
    """Return bit/s for "50Mbps", "35 Mbit/s", "1Gbit" or a bare number of bit/s."""
    value, unit = _split(text, "rate such as 50Mbps")
    if re.search(r"B(/s|ps)?\s*$", text):
        raise ConfigurationError(f"{text!r} counts bytes; rates are in bits, for example 50Mbps")
    match = re.fullmatch(r"([kmg]?)(?:bps|bit|bit/s|b/s)?", unit)
    if match is None:
        raise ConfigurationError(
            f"{text!r}: unknown unit of rate {unit!r}; write for example 50Mbps"
        )
    return value * _PREFIX[match.group(1)]


def parse_size(text: str) -> float:
    """Return bytes for "43MB", "512 kB" or a bare number of bytes."""
    value, unit = _split(text, "size such as 43MB")
    match = re.fullmatch(r"([kmg]?)(?:b|byte|bytes)?", unit)
    if match is None:
        raise ConfigurationError(f"{text!r}: unknown unit of size {unit!r}; write for example 43MB")
    return value * _PREFIX[match.group(1)]


def parse_time(text: str) -> float:
    """Return seconds for "90", "90s", "20ms" or "5min"."""
    value, unit = _split(text, "time such as 30s")
    if unit not in _TIMES:
        known = ", ".join(filter(None, _TIMES))
        raise ConfigurationError(f"{text!r}: unknown unit of time {unit!r}; known: {known}")
    return value * _TIMES[unit]


def format_rate(rate_bps: float) -> str:
    """Return for example "47.8 Mbit/s"."""
    return _format(rate_bps, "bit/s")


def format_size(size_bytes: float) -> str:
    """Return for example "134.6 MB"."""
    return _format(size_bytes, "B")


def _format(value: float, unit: str) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}"
