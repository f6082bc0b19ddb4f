"""The links that the simulated backhaul has: those of the topology that the emulated one has."""

from __future__ import annotations

from controllers.paths import Paths
from testbed.settings.experiment import Experiment
from testbed.values import MASTER, Schedule
from topologies.layout import layout_of


def paths_of(experiment: Experiment, schedule: Schedule) -> Paths:
    """Return the paths among a schedule's access points, and the rates of their links."""
    names = [access_point.name for access_point in schedule.access_points]
    backhaul = experiment.backhaul
    layout = layout_of(backhaul.topology, names)
    hosts = [*names, MASTER]  # beside which the cloud is
    return Paths(layout, hosts, backhaul.link_bps, backhaul.wireless_links(names))
