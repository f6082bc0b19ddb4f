"""Whose movement is replayed, and which part of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from testbed.settings.section import NotNegative, Positive, Section

#: Settings that are those of the data set where none are asked for, once it has been read.
OWN_STEPS = ("interval_s", "between_samples")


class Traces(Section, frozen=True, kw_only=True):
    """Whose movement is replayed, and where access points stand."""

    path: Annotated[
        str | None, Meta(description="file or folder of traces (none: KAIST, else synthetic)")
    ] = None
    format: Annotated[
        Literal[
            "auto",
            "crawdad",
            "geolife",
            "bonnmotion",
            "ns2",
            "sumo",
            "gpx",
            "csv",
            "parquet",
            "synthetic",
        ],
        Meta(
            description="format of the traces (auto: found out by their content; synthetic: a"
            " campus made here)"
        ),
    ] = "auto"
    skip_bad: Annotated[
        bool, Meta(description="malformed lines are counted and skipped, not refused")
    ] = False
    backwards: Annotated[
        Literal["drop", "refuse"],
        Meta(description="samples not later than the one before are left out, or refused"),
    ] = "drop"
    duplicates: Annotated[
        Literal["drop", "keep"],
        Meta(description="files that copy another file are left out, or kept"),
    ] = "drop"
    window_m: Annotated[
        tuple[float, float, float, float] | None,
        Meta(
            description="rectangle x_min, y_min, x_max, y_max that is kept (none: the data set's"
            " own, for KAIST 1.5 km x 2 km)"
        ),
    ] = None
    window_deg: Annotated[
        tuple[float, float, float, float] | None,
        Meta(description="or, of geographic traces, lat_min, lon_min, lat_max, lon_max"),
    ] = None
    gap_s: Annotated[
        Positive | None,
        Meta(
            description="more time than this between two samples cuts a trace (none: 1.5 times"
            " the usual time, for Geolife 60 s)"
        ),
    ] = None
    min_duration_s: Annotated[
        NotNegative, Meta(description="shorter unbroken segments are dropped")
    ] = 0.0
    interval_s: Annotated[
        Positive | None,
        Meta(
            description="step between positions (none: the data set's own, Geolife 20 s, else 30)"
        ),
    ] = None
    between_samples: Annotated[
        Literal["hold", "interpolate"] | None,
        Meta(
            description="positions step at the recorded samples, or move linearly between them"
            " (none: the data set's own, Geolife interpolate, else hold)"
        ),
    ] = None
    test_people: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="people who are replayed; the rest train (none: a third, KAIST's 31)"),
    ] = None
    test_segments: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="at most so many unbroken segments of theirs, drawn (none: all)"),
    ] = None
    cell_circumradius_m: Annotated[Positive, Meta(description="hexagonal cells (section IV.B)")] = (
        50.0
    )
    margin_m: Annotated[
        NotNegative, Meta(description="access points this near to a client's path are brought up")
    ] = 150.0

    @property
    def step_s(self) -> float:
        """The step between positions.

        Raises ValueError where it is the data set's own, which only those who have read it know
        (`testbed.movement`).
        """
        if self.interval_s is None:
            raise ValueError("traces.interval_s: the data set's own step is not known yet")
        return self.interval_s


class Replay(Section, frozen=True, kw_only=True):
    """Which part of the movement is replayed."""

    clients: Annotated[int, Meta(ge=1, le=200, description="number of clients")] = 8
    start: Annotated[
        float | Literal["busiest", "typical"],
        Meta(
            description="start in seconds of the traces' time, or the window with most handovers,"
            " or with the median of all windows (typical)"
        ),
    ] = "busiest"
    duration_s: Annotated[
        Positive | Literal["all"],
        Meta(description="emulated time, or the whole of every trace, with all clients (simulate)"),
    ] = 300.0
    warm_start: Annotated[
        bool,
        Meta(
            description="servers begin with what they hold by then, by the simulation of the hours"
            " before, or empty"
        ),
    ] = True
