"""The links of the network: wireless ones, and the backhaul's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from testbed.settings.section import NotNegative, Positive, Section


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
