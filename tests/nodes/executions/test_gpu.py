"""Edge servers' layers on a made-up GPU: its tensors are the processors', its NVML a stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

import nodes.executions.gpu_load
from nodes.computing.compute import Computer, Job
from nodes.control import Answered, Compared, MemoryFull
from nodes.edge_servers import EdgeServers
from nodes.executions.gpu_load import GpuLoad, read_gpu_load
from nodes.setup import NodeSetup
from testbed.clock import RunClock
from testbed.dnn import placed_executor, target
from testbed.dnn.devices import device_profile
from testbed.dnn.models.published import published_graph
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.target import Target
from testbed.dnn.tensors import Values
from testbed.errors import MachineError, ProtocolError
from testbed.gpu.contention.contention_profile import profile_modelled
from testbed.gpu.estimation.gpu_times import gpu_times
from testbed.gpu.estimation.server_times import _query
from testbed.gpu.stats import ServerStats
from testbed.protocol.messages import AnyMessage, Load, LoadRequest
from testbed.runs.records import RecordWriter, collect, read_table
from testbed.settings.experiment import Compute
from tests.nodes.loopback import make_setup, until
from tests.nodes.world import POOL, World, verified, world

ALICE = "walker"
BUSY = ServerStats("nvml", 0, 0.73, float("nan"), 5 * 10**9, 66.0)
TITAN = Path(device_profile.__file__).parents[1] / "profiles" / "devices" / "titan-xp.csv"


class StubSource:
    """What NVML says: always the same."""

    def __init__(self, device_index: int = 0) -> None:
        assert device_index == 0

    def read(self, clients: int) -> ServerStats:
        return replace(BUSY, clients=clients)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where PyTorch would use CUDA it uses the processors; this machine's GPU is a Titan Xp."""
    for module in (target, placed_executor):
        monkeypatch.setattr(module, "torch_device", lambda device: torch.device("cpu"))
    monkeypatch.setattr(target, "begin", lambda device: 1e9)
    monkeypatch.setattr(nodes.executions.gpu_load, "NvmlSource", StubSource)
    monkeypatch.setattr(nodes.executions.gpu_load, "PERIOD_S", 0.05)
    monkeypatch.setattr(device_profile, "MEASURED_FOLDER", tmp_path)
    (tmp_path / "this-machine.csv").write_text(TITAN.read_text())
    gpu_times.cache_clear()


def gpu_setup(folder: Path, mode: str) -> NodeSetup:
    setup = make_setup(folder, model={"server_device": "this-machine"})
    compute = Compute(mode=mode, device="cuda", verify_share=1.0)  # type: ignore[arg-type]
    return replace(setup, experiment=replace(setup.experiment, compute=compute))


def _is_remote(said: object) -> bool:
    return isinstance(said, Answered) and said.outcome == "remote"


def on_gpu(here: World) -> Computer:
    layer_s = device_profile.device_profile("titan-xp").layer_times(here.captured.graph)
    return Computer(here.captured, layer_s, here.mode, here.memo, Target("cuda"))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("mode", ["real", "memo"])
def test_what_edge_servers_execute_runs_there_and_the_rest_on_the_processors(
    mode: str, tmp_path: Path
) -> None:
    async def run() -> World:
        setup = gpu_setup(tmp_path, mode)
        async with world(setup, mode, edges=()) as here:  # type: ignore[arg-type]
            await here.start_edge("ap0", on_gpu(here))
            here.start()
            await here.move(ALICE, "ap0")
            attached = len(here.models[ALICE].weights)
            await until(lambda: len(here.holds("ap0")) == attached, "all layers")
            said = here.heard[ALICE]
            await until(lambda: sum(_is_remote(each) for each in said) > 2, "remote answers", 60.0)
        return here

    here = asyncio.run(run())
    tables = here.tables()
    assert verified(tables["queries"])
    assert (tables["queries"]["outcome"] == "remote").any()
    assert (tables["queries"]["outcome"] != "fallback").all()
    folder = Path(here.setup.run_folder)
    rows = read_table(folder, "executions")
    servers = rows[(rows["node"] == "ap0") & ~rows["whole"]]
    assert len(servers) and set(servers["device"]) == {"cuda"}
    assert set(rows[rows["whole"] | (rows["node"] != "ap0")]["device"]) == {"cpu"}
    told = [said for said in here.heard[POOL] if isinstance(said, Compared)]
    assert len(told) == int(rows["whole"].sum()) or mode == "memo"
    read = read_table(folder, "gpu")
    assert set(read["kernel_utilisation"]) == {0.73}
    assert read["memory_utilisation"].isna().all() and read["time_s"].min() > 0
    # What is replayed is executed when there is time, perhaps after the last reading
    assert read["clients"].max() == 1 or mode == "memo"


@pytest.mark.usefixtures("gpu")
def test_a_full_memory_is_told_and_the_processors_execute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_there = PlacedExecutor.run

    def full(self: PlacedExecutor, first: int, last: int, live: Values) -> object:
        if self._target.device == "cuda":
            raise torch.OutOfMemoryError("made up")
        return run_there(self, first, last, live)

    monkeypatch.setattr(PlacedExecutor, "run", full)

    async def run() -> World:
        here = World(gpu_setup(tmp_path, "memo"), "memo")
        try:
            await here.start_pool()
            computer = await here._join_pool("ap0", on_gpu(here))
            here.build_model(ALICE, computer)
            here.start()
            job = _whole(here)
            computer.check(job, {-1: here.models[ALICE].inputs[0]})
            await here.finish()
        finally:
            await here.close()
        return here

    here = asyncio.run(run())
    assert [type(said) for said in here.heard[POOL]].count(MemoryFull) == 1
    assert [said.equal for said in here.heard[POOL] if isinstance(said, Compared)] == [True]
    collect(folder := Path(here.setup.run_folder))
    assert read_table(folder, "executions")["device"].tolist() == ["cpu"]


def _whole(here: World) -> Job:
    return Job(ALICE, 0, 0, 0, len(here.captured.graph) - 1)


@pytest.mark.usefixtures("gpu")
def test_without_the_pool_nothing_is_executed_elsewhere(tmp_path: Path) -> None:
    here = World(gpu_setup(tmp_path, "real"), "real")
    computer = on_gpu(here)
    here.build_model(ALICE, computer)
    inputs = {-1: here.models[ALICE].inputs[0]}
    with pytest.raises(ProtocolError, match="the execution pool, which has the GPU"):
        asyncio.run(computer.execute(_whole(here), inputs))


def test_the_load_counts_clients_and_outlives_no_failure(tmp_path: Path) -> None:
    told = tmp_path / "gpu"
    with RecordWriter(tmp_path, "pool") as records, GpuLoad(told, records, StubSource()) as load:
        assert read_gpu_load(told) is None
        load.began("a")
        load.began("b")
        load.ended("b")
        assert load.clients() == 2
        load.tell()
        found = read_gpu_load(told)
        assert found is not None and (found.source, found.kernel_utilisation) == ("nvml", 0.73)
        assert not (tmp_path / "records").exists() or not any((tmp_path / "records").iterdir())
        load.clock = RunClock(0.0)
        load.tell()
        load._sampler._latest = MachineError("made up")
        load.tell()
        assert read_gpu_load(told) is None
    collect(tmp_path)
    assert len(read_table(tmp_path, "gpu")) == 1


class ToldServer:
    """An edge server's connection at the master: asked, it tells this load."""

    def __init__(self, stats: ServerStats) -> None:
        self._stats = stats
        self._answers: asyncio.Queue[Load] = asyncio.Queue()

    def post(self, message: AnyMessage) -> None:
        assert isinstance(message, LoadRequest)
        self._answers.put_nowait(Load(self._stats))

    async def incoming(self) -> AsyncIterator[AnyMessage]:
        while True:
            yield await self._answers.get()


@pytest.mark.parametrize("told", ["nvml", "modelled"])
def test_the_master_takes_statistics_of_the_runs_source_alone(told: str) -> None:
    stats = replace(BUSY, source=told)

    async def run() -> None:
        servers = EdgeServers("nvml")
        hearing = asyncio.create_task(servers.hear("ap0", ToldServer(stats)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        loads = await servers.loads(["ap0"], 1.0)
        if told == "nvml":
            assert loads == {"ap0": stats}
            hearing.cancel()
        else:
            assert loads == {}
            with pytest.raises(ProtocolError, match="statistics of 'modelled'"):
                await hearing

    asyncio.run(run())


@pytest.mark.usefixtures("gpu")
def test_without_a_contention_profile_plans_take_servers_to_be_idle(tmp_path: Path) -> None:
    graph = published_graph("mobilenet")
    idle_s = device_profile.device_profile("titan-xp").layer_times(graph)
    stats = [replace(BUSY, clients=clients) for clients in (0, 12)]
    assert (gpu_times("this-machine").layer_times(graph, stats) == idle_s).all()
    profile = profile_modelled([_query(0.01)], (1, 4, 16), run_s=2.0, runs=4)
    profile.assign(source="nvml").to_parquet(tmp_path / "this-machine.contention.parquet")
    gpu_times.cache_clear()
    quiet_s, busy_s = gpu_times("this-machine").layer_times(graph, stats)
    assert (quiet_s == idle_s).all() and (busy_s > idle_s).all()
