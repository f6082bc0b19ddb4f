"""The rules that belong to a data set: what the paper keeps of KAIST and of Geolife."""

from __future__ import annotations

from dataclasses import dataclass

from traces.campus import SOURCE as CAMPUS
from traces.recording import Recording
from traces.window import GEOLIFE_WINDOW, KAIST_WINDOW, GeographicWindow, Window


@dataclass(frozen=True)
class Rules:
    """What applies to a data set where nothing else is asked for.

    Args:
        window: what is kept of it; None: everything.
        gap_s: more time than this between two samples cuts a trace; None: 1.5 times the usual.
    """

    window: Window | GeographicWindow | None = None
    gap_s: float | None = None


# People log their way every 1 to 5 s; up to a minute without a sample breaks nothing off.
_GEOLIFE = Rules(GEOLIFE_WINDOW, gap_s=60.0)
_KAIST = Rules(KAIST_WINDOW)


def own_rules(recording: Recording) -> Rules:
    """Return the rules of the data set that a recording is."""
    if recording.format == "geolife":
        return _GEOLIFE
    is_kaist = recording.format == "crawdad" and all(
        track.name.upper().startswith("KAIST") for track in recording.tracks
    )
    return _KAIST if is_kaist or recording.source == CAMPUS else Rules()
