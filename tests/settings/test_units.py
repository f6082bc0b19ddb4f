"""Quantities with units."""

from __future__ import annotations

import pytest

from testbed.errors import ConfigurationError
from testbed.settings.units import format_rate, format_size, parse_rate, parse_size, parse_time


@pytest.mark.parametrize(
    ("text", "rate_bps"),
    [
        ("50Mbps", 50e6),
        ("35 Mbit/s", 35e6),
        ("1Gbit", 1e9),
        ("1e3", 1000.0),
        (".5kb/s", 500.0),
        ("  9600 ", 9600.0),
        ("2 GBPS", 2e9),
    ],
)
def test_rates_are_read_in_decimal_bits_per_second(text: str, rate_bps: float) -> None:
    assert parse_rate(text) == rate_bps


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("43MB", 43e6), ("512 kB", 512e3), ("7", 7.0), ("1 byte", 1.0), ("2G", 2e9)],
)
def test_sizes_are_read_in_decimal_bytes(text: str, size_bytes: float) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("20ms", 0.02), ("5min", 300.0), ("1h", 3600.0), ("3us", 3e-6)],
)
def test_times_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "-5", "50 Mbps now", "1.2.3", "nan", "inf"])
def test_what_is_no_quantity_is_refused_with_its_text(text: str) -> None:
    for parse in (parse_rate, parse_size, parse_time):
        with pytest.raises(ConfigurationError) as refusal:
            parse(text)
        assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_rate, "5 s"), (parse_size, "5Mbit"), (parse_time, "5 days")]
)
def test_units_of_another_quantity_are_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ConfigurationError, match="unknown unit"):
        parse(text)


def test_formatting_chooses_the_largest_unit_that_fits() -> None:
    assert format_rate(47_830_000) == "47.8 Mbit/s"
    assert format_rate(1e9) == "1.0 Gbit/s"
    assert format_rate(999) == "999 bit/s"
    assert format_size(134_600_000) == "134.6 MB"
    assert format_size(1000) == "1.0 kB"
    assert format_size(0) == "0 B"
