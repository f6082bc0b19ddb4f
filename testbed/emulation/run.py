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
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from mininet.log import setLogLevel
from rich.console import Console

from nodes.control import (
    Answered,
    Attached,
    Chosen,
    Compared,
    FromNode,
    Preload,
    Start,
    Transferred,
)
from nodes.requests import Measured
from nodes.setup import MASTER, ComputeMode
from testbed.clock import RunClock
from testbed.config import Experiment
from testbed.emulation import background as background_processes
from testbed.emulation import compute_mode
from testbed.emulation.briefing import brief, distant_servers
from testbed.emulation.capacity import Machine, advice
from testbed.emulation.capture import Capture
from testbed.emulation.console import open_console
from testbed.emulation.controller import Controller
from testbed.emulation.counting import Counting
from testbed.emulation.handover import Handovers
from testbed.emulation.machines import parse_all
from testbed.emulation.monitor import Monitor
from testbed.emulation.network import EmulatedNetwork
from testbed.emulation.openvswitch import OpenVSwitch
from testbed.emulation.outcome import Outcome, manifest_of, raw_folder
from testbed.emulation.processes import Models, Nodes, Nursery
from testbed.emulation.progress import Progress
from testbed.emulation.sandbox import outside_network
from testbed.emulation.spread import Machines, SpreadNetwork, SpreadNursery
from testbed.errors import MachineError
from testbed.policies import find_policy
from testbed.records import RecordWriter
from testbed.runfolder import RunFolder
from testbed.values import Schedule
from topologies.library import find_topology
from traces.trace import TraceSet

_SHOW_S = 0.5
_LEAD_S = 0.5  # from telling all nodes the start to the start


class EmulatedRun:
    """The run of one experiment in this process's sandbox."""

    def __init__(
        self,
        settings: Experiment,
        schedule: Schedule,
        training: TraceSet,
        folder: RunFolder,
        scratch: Path,
        console: Console,
    ) -> None:
        self._settings = settings
        self._schedule = schedule
        self._training = training
        self._folder = folder
        self._scratch = scratch
        self._policy = find_policy(settings.migration.policy)
        self._distant = distant_servers(settings)
        self._progress = Progress(console, self._schedule.duration_s, settings.compute.tdf)
        self._routed = asyncio.Event()
        self.outcome = Outcome()

    async def run(self, *, cli: bool = False) -> None:
        """Bring the network up, replay the schedule, and take everything down.

        With `cli` Mininet's command line opens between the first two.
        """
        setLogLevel("error")
        with ExitStack() as stack:
            take_down = stack.enter_context(self.outcome.taking_down())
            stack.enter_context(_ended_by_signals())
            records = stack.enter_context(RecordWriter(self._folder.path, "experiment"))
            machines = stack.enter_context(self._machines())
            await asyncio.to_thread(machines.connect)
            nursery = SpreadNursery(self._folder.log, machines)
            stack.callback(nursery.close)
            stack.enter_context(OpenVSwitch(self._scratch / "ovs"))
            # Netlink sockets belong to the thread that made them; this one touches the network.
            thread = stack.enter_context(ThreadPoolExecutor(1, "network"))
            network = await self._describe_network(thread, machines)
            stack.callback(lambda: thread.submit(network.close).result())
            self.outcome.delay = network.delay
            self.outcome.addresses = network.addresses()
            if network.delay.missing:
                self._progress.phase(f"warning: link delay {network.delay.described()}")
            models = asyncio.create_task(self._build_models(nursery, network))
            stack.callback(models.cancel)
            await asyncio.get_running_loop().run_in_executor(thread, network.start)
            self.outcome.ready("network")
            controller = stack.enter_context(
                Controller(
                    self._settings.backhaul.controller, network, self._scratch, self._folder.log
                )
            )
            await asyncio.to_thread(controller.wait_ready)
            self.outcome.ready("routes")
            handovers = Handovers(
                self._schedule,
                network,
                thread,
                controller.northbound,
                self._settings.wireless,
                records,
            )
            stack.callback(handovers.close)
            await handovers.place_clients()
            self.outcome.capture = stack.enter_context(self._capture(network))
            counting = Counting(controller.northbound, records)
            stack.callback(counting.close)
            first_count = asyncio.create_task(counting.read(None))
            stack.callback(first_count.cancel)
            self.outcome.ready("capture")
            self._routed.set()
            nodes = await self._start_nodes(nursery, network, handovers, await models)
            stack.callback(nodes.close)
            await first_count
            self._progress.phase(f"ready after {self.outcome.ready('clients'):.1f} s")
            if cli:
                await open_console(network)
            self.outcome.step_late_s = handovers.step_late_s
            self.outcome.moved_late_s = handovers.moved_late_s
            try:
                await self._replay(nodes, handovers, counting, nursery.processes, machines)
            finally:
                self.outcome.counters = counting.last
                take_down()
                for role in ("client", "edge", "master"):
                    await nodes.stop(role)

    def _machines(self) -> Machines:
        """Return the machines that have access points."""
        self.outcome.machines = Machines(
            parse_all(self._settings.compute.machines),
            [access_point.name for access_point in self._schedule.access_points],
            outside_network(),
            self._folder.path,
            self._folder.log,
        )
        return self.outcome.machines

    async def _describe_network(self, thread: Executor, machines: Machines) -> SpreadNetwork:
        """Return the network with everything that has a name and an address, and no link yet."""
        access_points = [ap.name for ap in self._schedule.access_points]
        clients = list(self._schedule.clients)
        self._progress.phase(
            f"bringing up {len(access_points)} access points and {len(clients)} clients ..."
        )
        topology = find_topology(self._settings.backhaul.topology)
        return await asyncio.get_running_loop().run_in_executor(
            thread, SpreadNetwork, topology, access_points, clients, self._settings, machines
        )

    def _capture(self, network: EmulatedNetwork) -> Capture:
        return Capture(raw_folder(self._folder), network.backhaul_ports(), self._scratch)

    async def _build_models(self, nursery: Nursery, network: EmulatedNetwork) -> Models:
        """Begin to build the clients' models, while the network comes up where that disturbs none.

        What this machine can compute is measured when it has nothing else to do.
        """
        setup = brief(self._settings, self._schedule, network, self._folder, self._scratch)
        np.savez(setup.training_file, *self._training.positions_m)
        nursery.set_up(setup)
        mode = self._settings.compute.mode
        if mode == "auto":
            await self._routed.wait()
        executed = mode in ("auto", "real")
        measured = await asyncio.to_thread(partial(nursery.measure, executed=executed))
        choice = self.outcome.compute = compute_mode.choose(self._settings, measured)
        self._progress.phase(f"compute mode {choice.mode}: {choice.reason}")
        self._estimate(choice.mode, measured, len(network.access_points))
        return await asyncio.to_thread(nursery.build_models, choice.mode, network.clients)

    def _estimate(self, mode: ComputeMode, measured: Measured, access_points: int) -> None:
        """Say what the run will need; MachineError where memory would run out."""
        settings, here = self._settings, Machine.here()
        line, _, fits = advice(settings, access_points, mode, measured, here)
        if not fits and not settings.compute.machines:  # those have memory of their own
            raise MachineError(line)
        self.outcome.estimate = line.removeprefix("estimate: ")
        self._progress.phase(line)

    async def _start_nodes(
        self, nursery: SpreadNursery, network: EmulatedNetwork, handovers: Handovers, models: Models
    ) -> Nodes:
        self._progress.phase("starting master, edge servers and clients ...")
        assert self.outcome.compute is not None
        mode = self.outcome.compute.mode
        nodes = Nodes(nursery, mode, lambda said: self._hear(said, handovers))
        await nodes.start("master", {MASTER: network.namespace(MASTER)})
        await asyncio.to_thread(nursery.prepared)
        edges = {name: network.namespace(name) for name in network.access_points}
        await nodes.start(
            "edge", edges | {name: network.namespace(MASTER) for name in self._distant}
        )
        self.outcome.ready("edge servers")
        await models.built()
        self.outcome.ready("models")
        await nodes.start("client", {c: network.namespace(c) for c in network.clients})
        if self._policy.preloaded:
            await nodes.ready_again(nodes.names("edge"), Preload())
        return nodes

    async def _replay(
        self,
        nodes: Nodes,
        handovers: Handovers,
        counting: Counting,
        processes: Mapping[str, int],
        machines: Machines,
    ) -> None:
        tdf = self._settings.compute.tdf
        clock = RunClock(time.monotonic() + _LEAD_S, tdf)
        self.outcome.origin_unix_s = time.time() + (clock.origin_s - time.monotonic())
        described = self._folder.read_json("manifest")
        self._folder.write_json("manifest", described | manifest_of(self.outcome))
        nodes.tell_all(Start(clock.origin_s, tdf))
        machines.watch(clock)
        background_processes.hurry()
        monitor = Monitor(processes, set(self._schedule.clients), clock)
        background = [
            asyncio.create_task(monitor.run()),
            asyncio.create_task(self._show(clock)),
            asyncio.create_task(counting.run(clock, self._schedule.interval_s)),
        ]
        self._progress.start()
        try:
            replay = asyncio.create_task(self._until_end(nodes, handovers, clock))
            background.append(replay)
            done, _ = await asyncio.wait(
                {replay, nodes.failed}, return_when=asyncio.FIRST_COMPLETED
            )
            for future in done:
                future.result()
        finally:
            self._progress.stop()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self.outcome.readings = machines.with_readings(monitor.readings)
            await counting.read(clock.now_s(), flows=True)

    async def _until_end(self, nodes: Nodes, handovers: Handovers, clock: RunClock) -> None:
        def moved() -> None:
            self._progress.counts.handovers = handovers.done

        await handovers.replay(nodes, clock, moved)
        await clock.sleep_until(self._schedule.duration_s)

    async def _show(self, clock: RunClock) -> None:
        while True:
            self._progress.update(max(0.0, clock.now_s()))
            await asyncio.sleep(_SHOW_S)

    def _hear(self, said: FromNode, handovers: Handovers) -> None:
        counts = self._progress.counts
        if isinstance(said, Answered):
            counts.queries += 1
        elif isinstance(said, Attached):
            counts.hits += handovers.attached(said) and said.hit
        elif isinstance(said, Chosen):
            handovers.association.chosen(said)
        elif isinstance(said, Transferred) and said.cause == "migration":
            counts.migrated_bytes += said.sent_bytes
        elif isinstance(said, Compared):
            self.outcome.compared += 1
            self.outcome.unequal += not said.equal


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
