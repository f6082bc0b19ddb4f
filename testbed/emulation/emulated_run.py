"""One emulated run, from an empty sandbox to a closed capture.

Runs as the first process of a sandbox (`testbed.emulation.sandbox`). Bring-up goes bottom-up: Open
vSwitch, Mininet, controller, capture, nursery, nodes. Then the clock starts and the schedule is
replayed; at its end, at Ctrl-C or at a failure, everything stops in the opposite order and what was
recorded is analysed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from mininet.log import setLogLevel
from rich.console import Console

from nodes import control
from nodes.requests import ModelMeasure
from nodes.setup import ComputeMode
from testbed.clock import RunClock
from testbed.decision.policies import build_policy
from testbed.decision.policy import CLOUD
from testbed.emulation.briefing import brief, distant_servers, image_sources
from testbed.emulation.console import open_console
from testbed.emulation.display import Progress
from testbed.emulation.evidence.counting import Counting
from testbed.emulation.evidence.fidelity import Evidence, sufficient_tdf
from testbed.emulation.evidence.monitor import Monitor
from testbed.emulation.evidence.packet_capture import PacketCapture
from testbed.emulation.fitness import compute_mode
from testbed.emulation.fitness.capacity import Resources, advice
from testbed.emulation.handover import Handovers
from testbed.emulation.network.controller import Controller
from testbed.emulation.network.openvswitch import OpenVSwitch
from testbed.emulation.outcome import Outcome, manifest_of, raw_folder
from testbed.emulation.processes import Models, Nodes
from testbed.emulation.sandbox import background as background_processes
from testbed.emulation.sandbox.sandbox import outside_network
from testbed.emulation.spread.machines import parse_all
from testbed.emulation.spread.spread import Machines, SpreadNetwork, SpreadNursery
from testbed.errors import MachineError
from testbed.runs.folder import RunFolder
from testbed.runs.records import RecordWriter
from testbed.settings.experiment import Experiment
from testbed.values import MASTER, Schedule
from topologies.building import find_topology

_SHOW_S = 0.5
_LOOK_S = 5.0  # whether the run falls behind
_LEAD_S = 0.5  # from telling all nodes the start to the start


class EmulatedRun:
    """The run of one experiment in this process's sandbox."""

    def __init__(
        self,
        settings: Experiment,
        schedule: Schedule,
        folder: RunFolder,
        scratch: Path,
        console: Console,
    ) -> None:
        self._settings = settings
        self._schedule = schedule
        self._folder = folder
        self._scratch = scratch
        self._progress = Progress(console, schedule.duration_s, settings.compute.dilation)
        self.outcome = Outcome(evidence=Evidence(tdf=settings.compute.dilation))
        # What `_bring_up` makes
        self._machines: Machines
        self._nursery: SpreadNursery
        self._network: SpreadNetwork
        self._handovers: Handovers
        self._counting: Counting
        self._nodes: Nodes

    async def run(self, *, cli: bool = False) -> None:
        """Bring the network up, replay the schedule, and take everything down.

        With `cli` Mininet's command line opens between the first two.
        """
        setLogLevel("error")
        with ExitStack() as stack:
            take_down = stack.enter_context(self.outcome.taking_down())
            stack.enter_context(_ended_by_signals())
            await self._bring_up(stack)
            if cli:
                await open_console(self._network)
            try:
                await self._replay()
            except BaseException:
                take_down()
                raise
            finally:
                self.outcome.counters = self._counting.last
                for role in ("client", "edge", "master"):
                    await self._nodes.stop(role)
            await self._finish_executions()
            take_down()
            await self._nodes.stop("pool")

    async def _bring_up(self, stack: ExitStack) -> None:
        """Start everything, from the bottom up; leaving the stack ends it in the opposite order."""
        settings, log = self._settings, self._folder.log
        records = stack.enter_context(RecordWriter(self._folder.path, "experiment"))
        named, names = parse_all(settings.compute.machines), self._access_points()
        self._machines = Machines(named, names, outside_network(), self._folder.path, log)
        self.outcome.machines = stack.enter_context(self._machines)
        await asyncio.to_thread(self._machines.connect)
        self._nursery = SpreadNursery(log, self._machines)
        stack.callback(self._nursery.close)
        stack.enter_context(OpenVSwitch(self._scratch / "ovs"))
        # Netlink sockets belong to the thread that made them; this one touches the network.
        thread = stack.enter_context(ThreadPoolExecutor(1, "network"))
        network = self._network = await self._describe_network(thread)
        stack.callback(lambda: thread.submit(network.close).result())
        models = asyncio.create_task(self._build_models())
        stack.callback(models.cancel)
        await asyncio.get_running_loop().run_in_executor(thread, network.start)
        self.outcome.ready("network")
        controller = Controller(settings.backhaul.controller, network, self._scratch, log)
        stack.enter_context(controller)
        await asyncio.to_thread(controller.wait_ready)
        self.outcome.ready("routes")
        northbound, evidence = controller.northbound, self.outcome.evidence
        self._handovers = Handovers(
            self._schedule, network, thread, northbound, settings.wireless, records, evidence
        )
        stack.callback(self._handovers.close)
        await self._handovers.place_clients()
        sends = image_sources(settings)
        capture = PacketCapture(
            raw_folder(self._folder), network.backhaul_ports(sends), self._scratch
        )
        self.outcome.capture = stack.enter_context(capture)
        self._counting = Counting(northbound, records)
        stack.callback(self._counting.close)
        first_count = asyncio.create_task(self._counting.read(None))
        stack.callback(first_count.cancel)
        self.outcome.ready("capture")
        await self._start_nodes(await models)
        stack.callback(self._nodes.close)
        await first_count
        self._progress.phase(f"ready after {self.outcome.ready('clients'):.1f} s")

    def _access_points(self) -> list[str]:
        return [access_point.name for access_point in self._schedule.access_points]

    async def _describe_network(self, thread: Executor) -> SpreadNetwork:
        """Return the network with everything that has a name and an address, and no link yet."""
        access_points, clients = self._access_points(), list(self._schedule.clients)
        self._progress.phase(
            f"bringing up {len(access_points)} access points and {len(clients)} clients ..."
        )
        topology = find_topology(self._settings.backhaul.topology)
        described = (topology, access_points, clients, self._settings, self._machines)
        loop = asyncio.get_running_loop()
        network = await loop.run_in_executor(thread, SpreadNetwork, *described)
        self.outcome.delay = network.delay
        sends = image_sources(self._settings)
        distant = {server: network.address(host) for server, host in sends.items()}
        self.outcome.addresses = network.addresses() | distant
        if network.delay.missing:
            self._progress.phase(f"warning: link delay {network.delay.described()}")
        return network

    async def _build_models(self) -> Models:
        """Begin to build the clients' models, while the network comes up."""
        network = self._network
        setup = brief(self._settings, self._schedule, network, self._folder, self._scratch)
        self._nursery.set_up(setup)
        mode = self._settings.compute.mode
        # Their answers too, as long as it is not known whether these will be replayed
        built_for: ComputeMode = "memo" if mode == "auto" else mode
        build = partial(self._nursery.build_models, built_for, network.clients)
        models = await asyncio.to_thread(build)
        executed = mode in ("auto", "real")
        measured = await asyncio.to_thread(partial(self._nursery.measure, executed=executed))
        choice = self.outcome.compute = compute_mode.choose(self._settings, measured)
        self._progress.phase(f"compute mode {choice.mode}: {choice.reason}")
        self._estimate(choice.mode, measured)
        return models

    def _estimate(self, mode: ComputeMode, measured: ModelMeasure) -> None:
        """Say what the run will need; MachineError where memory would run out."""
        settings, access_points = self._settings, len(self._network.access_points)
        line, _, fits = advice(settings, access_points, mode, measured, Resources.here())
        if not fits and not settings.compute.machines:  # those have memory of their own
            raise MachineError(line)
        self.outcome.estimate = line.removeprefix("estimate: ")
        self._progress.phase(line)

    async def _start_nodes(self, models: Models) -> None:
        self._progress.phase("starting master, edge servers and clients ...")
        assert self.outcome.compute is not None
        network = self._network
        nodes = self._nodes = Nodes(self._nursery, self.outcome.compute.mode, self._hear)
        await nodes.start("master", {MASTER: network.namespace(MASTER)})
        await asyncio.to_thread(self._nursery.prepared)
        if self.outcome.compute.mode != "profile":
            await nodes.start(
                "pool", dict.fromkeys(self._machines.pools(), network.namespace(MASTER))
            )
        edges = {name: network.namespace(name) for name in network.access_points}
        edges |= dict.fromkeys(distant_servers(self._settings), network.namespace(MASTER))
        await nodes.start("edge", edges)
        self.outcome.ready("edge servers")
        await models.built()
        self.outcome.ready("models")
        await nodes.start("client", {c: network.namespace(c) for c in network.clients})
        policy = build_policy(self._settings)
        if policy.from_images:  # they are in the cloud at first
            await nodes.ready_again([CLOUD], control.Preload())
        elif policy.preloaded:
            policy.learn(self._schedule.access_points, self._folder.read_training())
            holding = [name for name in nodes.names("edge") if policy.preloads(name)]
            await nodes.ready_again(holding, control.Preload())
        if (begins := self._folder.read_warm_start()) is not None:
            warm = [name for name in nodes.names("edge") if begins.concerns(name)]
            await nodes.ready_again(warm, control.WarmUp())

    async def _replay(self) -> None:
        tdf = self._settings.compute.dilation
        clock = RunClock(time.monotonic() + _LEAD_S, tdf)
        self.outcome.origin_unix_s = time.time() + (clock.origin_s - time.monotonic())
        described = self._folder.read_json("manifest")
        self._folder.write_json("manifest", described | manifest_of(self.outcome))
        self._nodes.tell_all(control.Start(clock.origin_s, tdf))
        self._machines.watch(clock)
        background_processes.hurry()
        monitor = Monitor(self._nursery.processes, set(self._schedule.clients), clock)
        replay = asyncio.create_task(self._until_end(clock))
        background = [
            replay,
            asyncio.create_task(monitor.run()),
            asyncio.create_task(self._show(clock)),
            asyncio.create_task(self._warn(monitor)),
            asyncio.create_task(self._counting.run(clock, self._schedule.interval_s)),
        ]
        self._progress.start()
        try:
            either = {replay, self._nodes.failed}
            done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
        finally:
            self._progress.stop()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self.outcome.evidence.readings = self._machines.with_readings(monitor.readings)
            await self._counting.read(clock.now_s(), flows=True)

    async def _finish_executions(self) -> None:
        """Have executed what waits for it when the run is over."""
        pools = self._nodes.names("pool")
        if not pools:
            return
        limit_s = self._settings.compute.finish_s
        before = self.outcome.evidence.compared
        self._progress.phase(f"executing what waits, for at most {limit_s:g} s ...")
        began_s = time.monotonic()
        await self._nodes.ready_again(pools, control.Finish(limit_s))
        self.outcome.finished_s = time.monotonic() - began_s
        done = self.outcome.evidence.compared - before
        self._progress.phase(f"executed {done} more in {self.outcome.finished_s:.0f} s")

    async def _until_end(self, clock: RunClock) -> None:
        await self._handovers.replay(self._nodes, clock)
        await clock.sleep_until(self._schedule.duration_s)

    async def _show(self, clock: RunClock) -> None:
        while True:
            self._progress.counts.handovers = self._handovers.done
            self._progress.update(max(0.0, clock.now_s()))
            await asyncio.sleep(_SHOW_S)

    async def _warn(self, monitor: Monitor) -> None:
        """Say it once if the run falls behind, and which dilation would do."""
        seen, tdf = 0, self._settings.compute.dilation
        while True:
            await asyncio.sleep(_LOOK_S)
            latest = monitor.readings.run_queue_delay_s[seen:]
            seen += len(latest)
            if (enough := sufficient_tdf(latest, tdf)) is not None:
                self._progress.phase(
                    "warning: falling behind: nodes wait too long for a processor;"
                    f" --tdf {enough:g} would do"
                )
                return

    def _hear(self, message: control.FromNode) -> None:
        counts = self._progress.counts
        if isinstance(message, control.Answered):
            counts.queries += 1
        elif isinstance(message, control.Attached):
            counts.hits += self._handovers.attached(message) and message.hit
        elif isinstance(message, control.Chosen):
            self._handovers.association.chosen(message)
        elif isinstance(message, control.Transferred) and message.cause == "migration":
            counts.migrated_bytes += message.sent_bytes
        elif isinstance(message, control.Compared):
            self.outcome.evidence.compared += 1
            self.outcome.evidence.unequal += not message.equal
        elif isinstance(message, control.MemoryFull):
            self.outcome.evidence.displaced += 1


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM cancel the running task, so that everything is taken down."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
