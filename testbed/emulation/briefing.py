"""What all nodes of a run are told before they are started."""

from __future__ import annotations

from pathlib import Path

from nodes.setup import NodeSetup
from testbed.decision.policies import find_policy
from testbed.decision.policy import CLOUD
from testbed.emulation.network.network import EmulatedNetwork
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment
from testbed.values import MASTER, Schedule


def distant_servers(settings: Experiment) -> tuple[str, ...]:
    """Return the servers beside the master, which have no access point of their own."""
    return (CLOUD,) if find_policy(settings.migration.policy).in_cloud else ()


def brief(
    settings: Experiment,
    schedule: Schedule,
    network: EmulatedNetwork,
    folder: RunFolder,
    scratch: Path,
) -> NodeSetup:
    """Return the settings, who is where, and the folders that all nodes share."""
    addresses = {name: network.address(name) for name in (*network.access_points, MASTER)}
    addresses |= dict.fromkeys(distant_servers(settings), network.address(MASTER))
    return NodeSetup(
        experiment=settings,
        run_folder=str(folder.path),
        scratch=str(scratch),
        access_points=schedule.access_points,
        addresses=addresses,
        clients=tuple(schedule.clients),
        warm_start=folder.read_warm_start(),
        trajectories={
            client: tuple(f for f in schedule.fixes if f.client == client and f.time_s < 0)
            for client in schedule.clients
        },
    )
