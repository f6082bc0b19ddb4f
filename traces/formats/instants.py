"""Points in time as text: ISO 8601."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from traces.formats.lines import SHOWN, LineError

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?"
    r"\s*(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


def is_instant(text: str) -> bool:
    """Say whether a text looks like a date and a time of day."""
    return _ISO.fullmatch(text.strip()) is not None


def has_zone(text: str) -> bool:
    """Say whether such a text ends with a time zone, UTC included."""
    found = _ISO.fullmatch(text.strip())
    return found is not None and bool(found["utc"] or found["sign"])


def instant_s(text: str) -> float:
    """Return the seconds since 1970 in UTC; a time without a zone is taken for UTC.

    Raises LineError if the text is no date and time of day in ISO 8601.
    """
    found = _ISO.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError("another format")
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
        zone = timezone(-offset if found["sign"] == "-" else offset)
        whole = datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()
    except ValueError as error:
        raise LineError(
            f"expected a time such as 2008-10-23T02:53:04Z, found {text[:SHOWN]!r} ({error})"
        ) from error
    return whole + float(found[7] or 0)
