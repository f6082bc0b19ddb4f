"""The master server: hears where clients are, decides, and orders edge servers to migrate.

The decisions are `testbed.decision.coordinator`'s; this process only carries them over the network.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from nodes.control import NodeSide, Ready, Start, Stop, Stopped
from nodes.edge_servers import EdgeServers
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection, serve
from testbed.clock import RunClock
from testbed.decision.coordinator import Coordinator
from testbed.decision.current_plan import CurrentPlan
from testbed.decision.policies import build_policy, build_predictor
from testbed.decision.policy import CLOUD, Image
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.partitioning.planners import planner_of
from testbed.errors import ProtocolError
from testbed.gpu.estimation.gpu_times import gpu_times
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.stats import ServerStats
from testbed.protocol import messages
from testbed.runs.folder import RunFolder
from testbed.values import MASTER, Fix, Offer, Prediction

_FOR_GOOD_S = 1e12  # an order that stands until it is carried out

_log = logging.getLogger(__name__)


class Master:
    """The connections of all clients and edge servers, around one coordinator."""

    def __init__(self, setup: NodeSetup, control: NodeSide) -> None:
        self._setup = setup
        self._control = control
        self._clock = RunClock(math.inf)
        self._servers = EdgeServers("nvml" if setup.experiment.timed_by_gpu else "modelled")
        self._weights: dict[str, dict[int, messages.LayerRef]] = {}
        self._numbers: dict[str, int] = {}  # of clients' last attachments
        self._records = setup.record_writer(MASTER)
        self._coordinator: Coordinator

    async def run(self) -> None:
        """Serve until the experiment says stop.

        It is ready when it listens; connections wait until the predictor has been fitted.
        """
        server = await serve(self._setup.addresses[MASTER], messages.PORTS["control"], self._serve)
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
        if (received := await connection.receive()) is None:
            return
        first = received[0]
        if isinstance(first, messages.EdgeHello):
            await self._servers.hear(first.server, connection)
        elif isinstance(first, messages.Register):
            self._register(first)
            await connection.send(messages.Registered())
            await self._serve_client(first.client, connection)
        else:
            raise ProtocolError(f"expected an introduction, got {first!r}")

    def _register(self, client: messages.Register) -> None:
        self._weights[client.client] = {ref.layer: ref for ref in client.weights}
        trajectory = [Fix(client.client, *position) for position in client.trajectory]
        self._coordinator.register(client.client, client.graph, client.client_s, trajectory)
        begins = self._setup.warm_start
        if begins is not None and client.client in begins.clients:
            self._coordinator.begin_with(client.client, begins.clients[client.client])

    async def _serve_client(self, client: str, connection: Connection) -> None:
        async for message in connection.incoming():
            if isinstance(message, messages.Choose):
                await connection.send(await self._choose(client, message))
            elif isinstance(message, messages.Attach):
                await self._attach(client, message, connection)
            elif isinstance(message, messages.Report):
                await self._report(client, message, connection)
            else:
                raise ProtocolError(f"{client} sent {message!r}")

    async def _choose(self, client: str, asked: messages.Choose) -> messages.Choice:
        """Apply the partitioner to all visible servers and return the best (section III.C.2)."""
        visible = asked.access_points
        if not visible:
            raise ProtocolError(f"{client} cannot choose among no access points")
        self._check_known(client, visible)
        candidates = self._servers.reachable(visible) or visible
        loads = await self._loads(candidates)
        access_point, current = self._coordinator.choose(client, candidates, loads)
        told = {name: f"{load.clients} clients" for name, load in loads.items()}
        seen = ", ".join(f"{name} ({told.get(name, 'mute')})" for name in candidates)
        text = "%s goes to %s, expecting %.0f ms a query; it sees %s"
        _log.info(text, client, access_point, current.plan.latency_s * 1e3, seen)
        return messages.Choice(asked.number, access_point)

    async def _attach(self, client: str, attach: messages.Attach, connection: Connection) -> None:
        self._check_known(client, (attach.access_point,))
        if attach.image_at is not None:
            self._check_known(client, (attach.image_at,))
        server = self._coordinator.associate(client, attach.access_point)
        self._check_known(client, (server,))
        current = self._coordinator.current_plan(client, await self._loads([server]))
        image = self._coordinator.image(client, attach.image_at)
        self._numbers[client] = attach.number
        await self._tell(client, server, current, connection, from_image=image is not None)
        if image is not None and image.source != server:
            await self._fetch(client, server, image)
        self._record_plan(client, server, current, "attachment", told=True)

    async def _tell(
        self,
        client: str,
        server: str,
        current: CurrentPlan,
        connection: Connection,
        *,
        from_image: bool = False,
    ) -> None:
        number, on_server = self._numbers[client], current.plan.on_server
        plan = server, on_server, current.upload, current.server_s
        await connection.send(messages.PlanReply(number, *plan, from_image))

    async def _fetch(self, client: str, server: str, image: Image) -> None:
        """Have a client's image sent to the server where it is; it stays until it is whole."""
        order = messages.Migrate(
            client=client,
            destination=server,
            address=self._setup.addresses[server],
            layers=self._setup.with_image_rest(self._weights[client].values()),
            ends_s=_FOR_GOOD_S,
            until_s=self._clock.now_s(),  # only the client's being there holds a part of it
            most_bps=image.most_bps,
            moves=image.source != CLOUD,
        )
        await self._servers.order(image.source, order)

    def _record_plan(
        self, client: str, server: str, current: CurrentPlan, cause: str, *, told: bool
    ) -> None:
        plan, costs = current.plan, current.costs
        self._records.append(
            "plans",
            client=client,
            time_s=self._clock.now_s(),
            server=server,
            cause=cause,
            told=told,
            up_mbps=costs.up_bps / 1e6,
            down_mbps=costs.down_bps / 1e6,
            server_s=float(costs.server_s.sum()),
            latency_s=plan.latency_s,
            layers_server=sum(plan.on_server),
            upload_bytes=plan.upload_bytes,
        )

    def _check_known(self, client: str, access_points: Sequence[str]) -> None:
        if not set(access_points) <= self._setup.addresses.keys() - {MASTER}:
            raise ProtocolError(f"{client} names servers that are not all known")

    async def _report(self, client: str, report: messages.Report, connection: Connection) -> None:
        """Plan again for where the client is, and ahead for where it will be (section III.B.2)."""
        coordinator = self._coordinator
        fix = Fix(client, report.time_s, report.x_m, report.y_m)
        situation = coordinator.predict(fix)
        if report.up_bps is not None and report.down_bps is not None:
            coordinator.measured(client, (report.up_bps, report.down_bps))
        here = coordinator.server(client)
        there = () if situation is None else coordinator.destinations(situation)
        loads = await self._loads([*there] if here is None else [here, *there])
        if here is not None:
            current, changed = coordinator.replan(client, loads)
            if changed:
                await self._tell(client, here, current, connection)
            self._record_plan(client, here, current, "report", told=changed)
        if situation is None:
            return
        offers = coordinator.offers(situation, loads)
        self._record(fix, situation.prediction, offers)
        for offer in offers:
            await self._order(offer)

    async def _loads(self, servers: Sequence[str]) -> dict[str, ServerStats]:
        wait_s = self._setup.experiment.server.load_wait_s * self._clock.tdf
        return await self._servers.loads(servers, wait_s)

    async def _order(self, offer: Offer) -> None:
        weights = self._weights[offer.client]
        order = messages.Migrate(
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
            **msgspec.structs.asdict(fix),
            current_ap=self._coordinator.current(fix.client),
            predicted_x_m=prediction.x_m,
            predicted_y_m=prediction.y_m,
            actual_x_m=None,
            actual_y_m=None,
            error_m=None,
            offered=" ".join(offer.destination for offer in offers),
        )


def build_coordinator(setup: NodeSetup) -> Coordinator:
    """Fit the predictor to the training traces and return the coordinator of a run."""
    settings = setup.experiment
    predictor, policy = build_predictor(settings), build_policy(settings)
    servers_m = np.array([(each.x_m, each.y_m) for each in setup.access_points])
    device = settings.model.server_device
    estimator = settings.server.estimator
    times = gpu_times(device) if settings.timed_by_gpu else server_times(device, estimator)
    paths_m = RunFolder(Path(setup.run_folder)).read_training()
    predictor.fit(paths_m, servers_m)
    policy.learn(setup.access_points, paths_m)
    return Coordinator(
        access_points=setup.access_points,
        predictor=predictor,
        policy=policy,
        server_times=times.layer_times,
        rates_bps=(settings.wireless.up_bps, settings.wireless.down_bps),
        interval_s=settings.traces.step_s,
        gap_s=settings.model.query_gap_s,
        planner=planner_of(settings.model),
    )


@cache
def server_times(device: str, estimator: str) -> ServerTimes:
    """Return the execution-time estimator of edge servers with this device."""
    return ServerTimes.train(device_profile(device), estimator)
