"""What the hours before a run leave at its servers, computed in virtual time."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from testbed.movement import Movement
from testbed.runs.warm_start import Beginning, Beliefs, WarmStart
from testbed.settings.experiment import Experiment
from testbed.simulation.engine import carrier_of
from testbed.simulation.fluid.carrier import Carrier
from testbed.simulation.foresight import clients_of
from testbed.simulation.offloading import offloading_of
from testbed.simulation.simulated_run import SimulatedRun


def warm_start(
    settings: Experiment, movement: Movement, carrier: Carrier | None = None
) -> WarmStart | None:
    """Return how the run of a movement begins; None where nothing is known from before it.

    `carrier` is the backhaul among all access points, and not only those of the run; by default the
    one that the settings ask for.
    """
    past, schedule = movement.past, movement.schedule
    if past is None:
        return None
    clients = clients_of(past)
    simulation = SimulatedRun(
        settings,
        offloading_of(settings),
        past.access_points,
        clients,
        movement.training.positions_m,
        carrier or carrier_of(settings, past),
        duration_s=past.duration_s,
        details=False,
    )
    enters = {each.client: each.to_ap for each in schedule.handovers if each.from_ap is None}
    known = {access_point.name for access_point in schedule.access_points}
    known |= set(simulation.world.names) - {each.name for each in past.access_points}  # the cloud
    begins = simulation.beginnings(enters)
    there = {client: _within(each, known) for client, each in begins.items()}
    return WarmStart(
        layers=tuple(simulation.world.stream.layers),
        clients=there,
        past_s=past.duration_s,
        left_out=sum(len(each.held) - len(there[client].held) for client, each in begins.items()),
    )


def _within(begins: Beginning, known: Collection[str]) -> Beginning:
    """Return what of this is about servers of the run."""

    def kept(server: str | None) -> str | None:
        return server if server in known else None

    believed = begins.believed
    return msgspec.structs.replace(
        begins,
        served_by=kept(begins.served_by),
        held=tuple(each for each in begins.held if each.server in known),
        image_at=kept(begins.image_at),
        believed=Beliefs(
            current=kept(believed.current),
            previous=kept(believed.previous),
            since_s=believed.since_s,
            present_bytes={s: size for s, size in believed.present_bytes.items() if s in known},
            until_s={s: until_s for s, until_s in believed.until_s.items() if s in known},
        ),
    )
