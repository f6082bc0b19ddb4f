"""What all nodes of a run are told before they are started."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nodes.setup import NodeSetup
from testbed.decision.policies import build_policy, find_policy
from testbed.decision.policy import CLOUD
from testbed.emulation.network.network import EmulatedNetwork
from testbed.layerstore import LayerStore
from testbed.protocol.messages import LayerRef
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment
from testbed.values import MASTER, Schedule

_REST = -1  # no layer of a model: what an image has beside them


def distant_servers(settings: Experiment) -> tuple[str, ...]:
    """Return the servers beside the master, which have no access point of their own."""
    policy = find_policy(settings.migration.policy)
    return (CLOUD,) if policy.in_cloud or policy.from_images else ()


def image_sources(settings: Experiment) -> dict[str, str]:
    """Return the servers that send images and have no access point, with their hosts."""
    return {CLOUD: MASTER} if find_policy(settings.migration.policy).from_images else {}


def image_rest(settings: Experiment, scratch: Path) -> LayerRef | None:
    """Return what images have beside a model, whose bytes are where layers are; None for nothing.

    They are the same for all clients, and random, as if nothing could compress them.
    """
    image = build_policy(settings).image(0.0, None)
    size_bytes = 0 if image is None else round(image.size_bytes)
    if not size_bytes:
        return None
    data = np.random.default_rng(settings.seed).bytes(size_bytes)
    store = LayerStore(scratch / "layers" / CLOUD / "image", scratch / "pool")
    return LayerRef(_REST, store.put(data), size_bytes)


def images_stay(settings: Experiment, server: str) -> bool:
    """Whether a server that had a client's image whole last, as this one, has it until it moves."""
    image = build_policy(settings).image(0.0, server)
    return image is not None and image.source == server


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
        image_rest=image_rest(settings, scratch),
        images_stay=images_stay(settings, schedule.access_points[0].name),
        trajectories={
            client: tuple(f for f in schedule.fixes if f.client == client and f.time_s < 0)
            for client in schedule.clients
        },
    )
