"""What groups of settings have in common.

`--help`, `--set`, config.json and the error messages all read type, bounds, unit and meaning of a
setting from where it is declared.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every group of settings."""


def refused_place(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the dotted path of the value that was refused, "" for the whole, and why."""
    message, _, place = str(error).partition(" - at ")
    return place.strip("`").removeprefix("$."), message


Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Distance = Annotated[float, Meta(gt=0, le=10_000_000)]  # metres on Earth
