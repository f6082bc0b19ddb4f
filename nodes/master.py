"""The master server: hears where clients are, decides, and orders edge servers to migrate.

The decisions are `testbed.coordinator`'s; this process only carries them over the network.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from nodes.connection import Connection, serve
from nodes.control import NodeSide, Ready, Start, Stop, Stopped
from nodes.servers import EdgeServers
from nodes.setup import MASTER, NodeSetup
from testbed.clock import RunClock
from testbed.coordinator import Coordinator, CurrentPlan
from testbed.dnn.devices import device_profile
from testbed.errors import ProtocolError
from testbed.gpu.server_times import ServerTimes
from testbed.gpu.stats import ServerStats
from testbed.policies import build_predictor, find_policy
from testbed.protocol import (
    PORTS,
    Attach,
    Choice,
    Choose,
    EdgeHello,
    LayerRef,
    Migrate,
    PlanReply,
    Register,
    Registered,
    Report,
)
from testbed.values import Fix, Offer, Prediction

_log = logging.getLogger(__name__)


class Master:
    """The connections of all clients and edge servers, around one coordinator."""

    def __init__(self, setup: NodeSetup, control: NodeSide) -> None:
        self._setup = setup
        self._control = control
        self._clock = RunClock(math.inf)
        self._servers = EdgeServers()
        self._weights: dict[str, dict[int, LayerRef]] = {}
        self._records = setup.record_writer(MASTER)
        self._coordinator: Coordinator

    async def run(self) -> None:
        """Serve until the experiment says stop.

        It is ready when it listens: whoever connects is heard when it has learnt what it must.
        """
        server = await serve(self._setup.addresses[MASTER], PORTS["control"], self._serve)
        self._control.tell(Ready())
        # Nothing is heard before this is done, since nothing else runs
        self._coordinator = build_coordinator(self._setup)
        while not isinstance(message := await self._control.receive(), Stop):
            if isinstance(message, Start):
                self._clock = RunClock(message.origin_s, message.tdf)
        server.close()
        self._records.close()
        self._control.tell(Stopped())

    async def _serve(self, connection: Connection) -> None:
        received = await connection.receive()
        if received is None:
            return
        first = received[0]
        if isinstance(first, EdgeHello):
            await self._servers.hear(first.server, connection)
        elif isinstance(first, Register):
            self._register(first)
            await connection.send(Registered())
            await self._serve_client(first.client, connection)
        else:
            raise ProtocolError(f"expected an introduction, got {first!r}")

    def _register(self, client: Register) -> None:
        self._weights[client.client] = {ref.layer: ref for ref in client.weights}
        trajectory = [Fix(client.client, *position) for position in client.trajectory]
        self._coordinator.register(client.client, client.graph, client.client_s, trajectory)

    async def _serve_client(self, client: str, connection: Connection) -> None:
        while (received := await connection.receive()) is not None:
            message = received[0]
            if isinstance(message, Choose):
                await connection.send(await self._choose(client, message))
            elif isinstance(message, Attach):
                await self._attach(client, message, connection)
            elif isinstance(message, Report):
                await self._report(Fix(client, message.time_s, message.x_m, message.y_m))
            else:
                raise ProtocolError(f"{client} sent {message!r}")

    async def _choose(self, client: str, asked: Choose) -> Choice:
        """Apply the partitioner to all visible servers and return the best (section III.C.2)."""
        visible = asked.access_points
        if not visible:
            raise ProtocolError(f"{client} cannot choose among no access points")
        self._check_known(client, visible)
        candidates = self._servers.reachable(visible) or visible
        loads = await self._loads(candidates)
        access_point, current = self._coordinator.choose(client, candidates, loads)
        _log.info(
            "%s goes to %s, expecting %.0f ms a query; it sees %s",
            client,
            access_point,
            current.plan.latency_s * 1e3,
            ", ".join(
                f"{name} ({loads[name].clients} clients)" if name in loads else f"{name} (mute)"
                for name in candidates
            ),
        )
        return Choice(asked.number, plan_reply(access_point, current))

    async def _attach(self, client: str, attach: Attach, connection: Connection) -> None:
        self._check_known(client, (attach.access_point, attach.server))
        self._coordinator.associate(client, attach.access_point)
        if not attach.planned:
            loads = await self._loads([attach.server])
            current = self._coordinator.plan(client, attach.server, loads)
            await connection.send(plan_reply(attach.server, current))

    def _check_known(self, client: str, access_points: Sequence[str]) -> None:
        if not set(access_points) <= self._setup.addresses.keys() - {MASTER}:
            raise ProtocolError(f"{client} names servers that are not all known")

    async def _report(self, fix: Fix) -> None:
        situation = self._coordinator.predict(fix)
        if situation is None:
            return
        loads = await self._loads(self._coordinator.destinations(situation))
        offers = self._coordinator.offers(situation, loads)
        self._record(fix, situation.prediction, offers)
        for offer in offers:
            await self._order(offer)

    async def _loads(self, servers: Sequence[str]) -> dict[str, ServerStats]:
        wait_s = self._setup.experiment.server.load_wait_s * self._clock.tdf
        return await self._servers.loads(servers, wait_s)

    async def _order(self, offer: Offer) -> None:
        weights = self._weights[offer.client]
        order = Migrate(
            client=offer.client,
            destination=offer.destination,
            address=self._setup.addresses[offer.destination],
            layers=tuple(weights[layer] for layer in offer.layers),
            ends_s=offer.ends_s,
            until_s=offer.until_s,
        )
        await self._servers.order(offer.source, order)

    def _record(self, fix: Fix, prediction: Prediction, offers: list[Offer]) -> None:
        self._records.append(
            "predictions",
            client=fix.client,
            time_s=fix.time_s,
            current_ap=self._coordinator.current(fix.client),
            x_m=fix.x_m,
            y_m=fix.y_m,
            predicted_x_m=prediction.x_m,
            predicted_y_m=prediction.y_m,
            actual_x_m=None,
            actual_y_m=None,
            error_m=None,
            offered=" ".join(offer.destination for offer in offers),
        )


def plan_reply(server: str, current: CurrentPlan) -> PlanReply:
    """Return a plan as it goes to its client."""
    return PlanReply(
        server=server,
        on_server=current.plan.on_server,
        upload=current.upload,
        server_s=current.server_s,
    )


def build_coordinator(setup: NodeSetup) -> Coordinator:
    """Fit the predictor to the training traces and return the coordinator of a run."""
    settings = setup.experiment
    predictor = build_predictor(settings.migration)
    servers_m = np.array([(each.x_m, each.y_m) for each in setup.access_points])
    with np.load(setup.training_file, allow_pickle=False) as traces:
        predictor.fit([traces[name] for name in traces.files], servers_m)
    return Coordinator(
        access_points=setup.access_points,
        predictor=predictor,
        policy=find_policy(settings.migration.policy)(settings.migration),
        server_times=server_times(settings.model.server_device).layer_times,
        rates_bps=(settings.wireless.up_bps, settings.wireless.down_bps),
        interval_s=settings.traces.interval_s,
        gap_s=settings.model.query_gap_s,
    )


@cache
def server_times(device: str) -> ServerTimes:
    """Return the execution-time estimator of edge servers with this device."""
    return ServerTimes.train(device_profile(device))
