"""The links that the simulated backhaul has: those of the topology that the emulated one has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from controllers.paths import Paths
from testbed.settings.experiment import Experiment
from testbed.values import MASTER
from topologies.layout import layout_of

if TYPE_CHECKING:
    from testbed.simulation.engine import Links


def links_of(experiment: Experiment, access_points: Sequence[str]) -> Links:
    """Return the paths and rates among these access points; they are found when they are needed."""

    def links() -> tuple[Paths, list[float]]:
        backhaul = experiment.backhaul
        layout = layout_of(backhaul.topology, access_points)
        hosts = [*access_points, MASTER]  # beside which the cloud is
        wireless = backhaul.wireless_links(access_points)
        paths = Paths(layout, hosts, backhaul.link_bps, wireless)
        return paths, paths.rates_bps

    return links
