"""Propagation delay: what is asked for, and what this machine's kernel can give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mininet.link import Link

from testbed.emulation.network.qdiscs import try_qdisc
from testbed.settings.experiment import Experiment
from topologies.layout import topology_delay_s


@dataclass(frozen=True)
class Delay:
    """The delay of links each way, in emulated seconds.

    Args:
        wireless_s: asked for between a client and its access point.
        backhaul_s: asked for on every link of the backhaul; None: each link's own.
        longest_s: of all that are asked for.
        refused: why the kernel delays nothing, if it does not.
    """

    wireless_s: float
    backhaul_s: float | None
    longest_s: float
    refused: str | None

    @property
    def of_wireless_s(self) -> float:
        """What a client's link gets."""
        return 0.0 if self.refused else self.wireless_s

    def of_backhaul_s(self, params: Mapping[str, Any]) -> float:
        """Return what a link of the backhaul gets, by its parameters in the topology."""
        if self.refused:
            return 0.0
        return topology_delay_s(params) if self.backhaul_s is None else self.backhaul_s

    @property
    def missing(self) -> bool:
        """Whether a delay is asked for that is not emulated."""
        return self.longest_s > 0 and self.refused is not None

    def described(self) -> str:
        """Return what the manifest says of it."""
        if not self.longest_s:
            return "none is set: links have rate and queue alone"
        if self.refused:
            return f"NOT EMULATED, though up to {self.longest_s:g} s is set: {self.refused}"
        return f"netem, up to {self.longest_s:g} s a link and direction"


def find(settings: Experiment, links: Iterable[Link]) -> Delay:
    """Return the delays of a network with these links."""
    wireless_s, backhaul_s = settings.wireless.delay_s, settings.backhaul.delay_s
    own_s = [topology_delay_s(end.params) for link in links for end in (link.intf1, link.intf2)]
    longest_s = max([wireless_s, *own_s] if backhaul_s is None else [wireless_s, backhaul_s])
    return Delay(wireless_s, backhaul_s, longest_s, refusal() if longest_s else None)


@cache
def refusal() -> str | None:
    """Return why this kernel cannot delay packets; None if it can."""
    return try_qdisc("netem", "delay", "1ms")
