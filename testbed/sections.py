"""The settings of an experiment by section, each stated once: type, bounds, unit and meaning.

`--help`, `--set`, config.json and the error messages all read them from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every group of settings."""


Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Distance = Annotated[float, Meta(gt=0, le=10_000_000)]  # metres on Earth


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
        Positive, Meta(description="step between positions (paper: KAIST 30 s, Geolife 20 s)")
    ] = 30.0
    between_samples: Annotated[
        Literal["hold", "interpolate"],
        Meta(description="positions step at the recorded samples, or move linearly between them"),
    ] = "hold"
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


class Replay(Section, frozen=True, kw_only=True):
    """Which part of the movement is replayed."""

    clients: Annotated[int, Meta(ge=1, le=200, description="number of clients")] = 8
    start: Annotated[
        float | Literal["busiest"],
        Meta(description="start in seconds of the traces' time, or the window with most handovers"),
    ] = "busiest"
    duration_s: Annotated[
        Positive | Literal["all"],
        Meta(description="emulated time, or the whole of every trace, with all clients (simulate)"),
    ] = 300.0


class Wireless(Section, frozen=True, kw_only=True):
    """The link between a client and its access point (section IV: the authors' lab Wi-Fi)."""

    down_bps: Annotated[Positive, Meta(description="rate from access point to client")] = 50e6
    up_bps: Annotated[Positive, Meta(description="rate from client to access point")] = 35e6
    queue_bytes: Annotated[
        int, Meta(ge=3028, description="limit of each queue; 64 kB is 15 ms at 35 Mbit/s")
    ] = 65536
    airtime: Annotated[
        Literal["separate", "shared"],
        Meta(description="each client has these rates, or all at one access point share them"),
    ] = "separate"
    delay_s: Annotated[
        NotNegative, Meta(description="propagation delay each way, where the kernel has netem")
    ] = 0.0
    association_delay_s: Annotated[
        NotNegative, Meta(description="time without a link at each handover")
    ] = 0.0
    association: Annotated[
        Literal["nearest", "least_time"],
        Meta(description="handover to the access point that is nearest, or answers soonest"),
    ] = "nearest"
    range_m: Annotated[
        Positive, Meta(description="access points this near to a client are visible to it")
    ] = 50.0


class Backhaul(Section, frozen=True, kw_only=True):
    """The wired network between access points."""

    topology: Annotated[str, Meta(description="NAME or FILE.py:NAME of a Mininet Topo")] = "tree"
    controller: Annotated[str, Meta(description="NAME or FILE.py of an OpenFlow application")] = (
        "shortest_path"
    )
    link_bps: Annotated[
        Positive | None, Meta(description="rate of every link (none: the topology's own)")
    ] = None
    delay_s: Annotated[
        NotNegative | None,
        Meta(
            description="propagation delay of every link each way, where the kernel has netem"
            " (none: the topology's own)"
        ),
    ] = None
    queue_bytes: Annotated[
        int, Meta(ge=65536, description="limit of each queue; 1 MB is 8 ms at 1 Gbit/s")
    ] = 1_000_000
    wireless_bps: Annotated[
        Positive | None,
        Meta(
            description="hybrid backhaul: rate of the links of access points without fibre, such as"
            " 100Mbps (none: all have the topology's)"
        ),
    ] = None
    fibre: Annotated[
        tuple[str, ...], Meta(description="access points on fibre in a hybrid backhaul")
    ] = ()
    migration_class: Annotated[
        Literal["same", "lower"],
        Meta(description="whether migrations give way to all else on backhaul links"),
    ] = "same"

    def wireless_links(self, access_points: Iterable[str]) -> dict[str, float]:
        """Return the rates of access points' links, in bit/s, of those that are wireless."""
        if self.wireless_bps is None:
            return {}
        return {name: self.wireless_bps for name in access_points if name not in self.fibre}


class Model(Section, frozen=True, kw_only=True):
    """The DNN that clients query, and the devices it runs on."""

    name: Annotated[
        str, Meta(description="inception, mobilenet, resnet or package.module:factory")
    ] = "inception"
    input_shape: Annotated[tuple[int, ...], Meta(description="shape of the query's input")] = (
        1,
        3,
        224,
        224,
    )
    client_device: Annotated[str, Meta(description="profile that times the clients")] = "odroid-xu4"
    server_device: Annotated[str, Meta(description="profile that times the edge servers")] = (
        "titan-xp"
    )
    query_gap_s: Annotated[NotNegative, Meta(description="from an answer to the next query")] = 0.5
    distinct_inputs: Annotated[
        int, Meta(ge=1, le=16, description="inputs a client cycles through")
    ] = 1


class Server(Section, frozen=True, kw_only=True):
    """An edge server's accelerator, and what the master asks about it."""

    accelerator: Annotated[
        Literal["modelled", "exclusive"],
        Meta(description="clients share it (contention model), or are served one at a time"),
    ] = "modelled"
    load_wait_s: Annotated[
        NotNegative, Meta(description="how long the master waits for servers to tell their load")
    ] = 0.05
    cloud_round_trip_s: Annotated[
        NotNegative,
        Meta(
            description="policy cloud: to the cloud and back, beyond the backhaul (74 ms on average"
            " to the nearest site of a large one: Li et al., CloudCmp, IMC 2010)"
        ),
    ] = 0.074


class Migration(Section, frozen=True, kw_only=True):
    """Prediction and proactive migration (sections III.B to III.D)."""

    policy: Annotated[
        str,
        Meta(
            description="who gets layers: ionn, perdnn, visits, benefit, pull, routing, cloud,"
            " optimal or package.module:Class"
        ),
    ] = "perdnn"
    radius_m: Annotated[
        Distance, Meta(description="servers this near to the predicted position get layers")
    ] = 50.0
    ttl_intervals: Annotated[int, Meta(ge=1, description="how long offered layers are held")] = 5
    fraction_mb: Annotated[
        Positive | None,
        Meta(description="migrate at most so many MB of a model at crowded servers"),
    ] = None
    crowded: Annotated[
        tuple[str, ...], Meta(description="servers that the fraction limits (empty: every server)")
    ] = ()
    retain_uploads: Annotated[
        bool, Meta(description="servers keep layers of clients that left")
    ] = False
    predictor: Annotated[
        str | None,
        Meta(
            description="mobility predictor: svr, svr-polynomial, svr-rbf, markov, rnn, visits,"
            " stay, velocity, ridge or package.module:Class (none: visits for the policies"
            " visits and benefit, else svr)"
        ),
    ] = None
    offer_probability: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="policy visits: servers as probable within 2 intervals get layers",
        ),
    ] = 0.05
    keep_probability: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="policies visits and benefit: servers as probable within the TTL keep them",
        ),
    ] = 0.005
    least_benefit: Annotated[
        NotNegative,
        Meta(
            description="policy benefit: layers are sent where they are expected to gain as many"
            " queries a MB"
        ),
    ] = 0.016
    capacity_bps: Annotated[
        Positive,
        Meta(description="policy benefit: at most so much from and to a server over an interval"),
    ] = 100e6
    trajectory_length: Annotated[int, Meta(ge=1, le=100, description="positions it reads, n")] = 5


class Compute(Section, frozen=True, kw_only=True):
    """How layers are executed and how time passes."""

    mode: Annotated[
        Literal["auto", "real", "memo", "profile"],
        Meta(
            description="real: every query executed; memo: each distinct input once; profile: none"
        ),
    ] = "auto"
    tdf: Annotated[
        float, Meta(ge=1, description="time dilation: the run takes so many times longer")
    ] = 1.0
    verify_share: Annotated[
        float, Meta(ge=0, le=1, description="share of queries executed again in full and compared")
    ] = 0.01
    machines: Annotated[
        tuple[str, ...],
        Meta(
            description="machines that access points are spread over: localhost, host, user@host or"
            " host:/folder (none: this one alone)"
        ),
    ] = ()


class Simulation(Section, frozen=True, kw_only=True):
    """What the simulator models of the network; the paper's has separate, unlimited, no headers."""

    sharing: Annotated[
        Literal["shared", "separate"],
        Meta(
            description="upload and queries have half the uplink each while both are there, as"
            " emulated, or each as if it were alone"
        ),
    ] = "shared"
    backhaul: Annotated[
        Literal["limited", "unlimited"],
        Meta(description="migrations share links max-min fairly, or take no time"),
    ] = "limited"
    headers: Annotated[
        bool, Meta(description="links carry Ethernet, IP and TCP headers beside the data")
    ] = True
    beside: Annotated[
        bool,
        Meta(description="an emulated run is simulated too, and its report compares both"),
    ] = False
