"""A sweep on a real Dask cluster: a scheduler and two workers of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client

from testbed.errors import ConfigurationError
from testbed.sweep import cluster
from testbed.sweep.cluster import Cluster
from testbed.sweep.ledger import PARTIAL
from tests.sweep.studies import Sweep, runs_in, start, wait_until

pytestmark = pytest.mark.slow

DASK = (sys.executable, "-m", "dask")


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers, which start anew when they die."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", str(file))
    with (folder / "log.txt").open("wb") as log:
        commands = [
            (*DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", *common),
            *[(*DASK, "worker", "--nthreads", "1", *common)] * 2,
        ]
        processes = [
            subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
            for command in commands
        ]
        try:
            wait_until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
            found: str = json.loads(file.read_text())["address"]
            with Client(found, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            yield found
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def on(address: str) -> tuple[str, ...]:
    return "--backend", "dask", "--scheduler", address


def test_it_finds_the_same_as_one_machine_with_both_workers_at_work(
    address: str, sweep: Sweep, place: Path
) -> None:
    """Runs of the policy wait until another process is at a run too."""
    arguments = ("--vary", "radius=50,100", "--repeat", "2", "--policy", "fickle:Meeting", "--json")
    ended = sweep(*arguments, *on(address))
    assert ended.status == 0, ended.out
    assert len(list(place.glob("met-*"))) == 2
    local = sweep(*arguments, out="local")
    assert json.loads(ended.out)["rows"] == json.loads(local.out)["rows"]
    assert runs_in(place / "out").keys() == runs_in(place / "local").keys()
    for run in runs_in(place / "out"):
        here, there = (place / folder / run / "summary.json" for folder in ("local", "out"))
        assert here.read_bytes() == there.read_bytes()
    assert sweep(*arguments, *on(address)).out == ended.out
    assert not (place / "out" / PARTIAL).exists()


def test_a_run_whose_worker_dies_is_made_by_another(address: str, place: Path) -> None:
    arguments = ("--vary", "radius=50,100,150", "--policy", "fickle:Waiting", "--json")
    sweeping = start(*arguments, *on(address))
    wait_until(lambda: (place / "waits").exists() and (place / "waits").read_text())
    killed = int((place / "waits").read_text())
    assert killed not in {child.pid for child in psutil.Process(sweeping.pid).children()}
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: int((place / "waits").read_text() or killed) != killed)
    (place / "go").touch()
    out, err = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 0, err
    assert [row["n"] for row in json.loads(out)["rows"]] == [1, 1, 1]
    assert len(runs_in(place / "out")) == 3
    assert not (place / "out" / PARTIAL).exists()


def test_ctrl_c_leaves_the_cluster_and_the_same_command_goes_on(
    address: str, sweep: Sweep, place: Path
) -> None:
    """The worker is still at its run when the sweep goes on; whoever is first, it is made once."""
    arguments = ("--vary", "radius=50,100", "--policy", "fickle:Waiting", "--json", *on(address))
    sweeping = start(*arguments)
    wait_until(lambda: (place / "waits").exists() and len(runs_in(place / "out")) == 1)
    sweeping.send_signal(signal.SIGINT)
    out, err = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 130, err
    assert "Traceback" not in err
    assert [row["n"] for row in json.loads(out)["rows"]] == [1, 0]
    done = runs_in(place / "out")
    (place / "go").touch()
    ended = sweep(*arguments)
    assert [row["n"] for row in json.loads(ended.out)["rows"]] == [1, 1]
    assert done.items() < runs_in(place / "out").items()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [("Failing", "RuntimeError: no luck at 100 m"), ("Deadly", "on 4 different workers")],
)
def test_a_run_that_fails_or_kills_worker_after_worker_is_listed(
    address: str, sweep: Sweep, place: Path, policy: str, reason: str
) -> None:
    ended = sweep("--vary", "radius=50,100", "--json", *on(address), "--policy", f"fickle:{policy}")
    (failed,) = json.loads(ended.out)["failed"]
    assert (ended.status, failed["id"]) == (1, "radius=100,#0,seed=1")
    assert reason in failed["reason"]
    assert [row["n"] for row in json.loads(ended.out)["rows"]] == [1, 0]


def test_workers_that_see_another_folder_or_version_are_named(
    address: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "out" / PARTIAL).mkdir(parents=True)
    with Cluster(address) as found:
        found.reach(place / "out", place)
        with pytest.raises(ConfigurationError, match="does not see /nowhere as it is here"):
            found.reach(place / "out", Path("/nowhere"))
        monkeypatch.setattr(cluster, "__version__", "99")
        with pytest.raises(ConfigurationError, match="and here it is 99"):
            found.reach(place / "out", place)
    assert list((place / "out" / PARTIAL).iterdir()) == []


def test_without_workers_or_with_anything_but_a_scheduler_it_ends_in_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began_s = time.monotonic()
        with pytest.raises(ConfigurationError, match="no Dask scheduler with workers answers"):
            Cluster(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began_s < 20


def test_without_dask_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match='pip install "distributed'):
        Cluster("tcp://127.0.0.1:8786")
