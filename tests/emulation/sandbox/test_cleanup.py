"""What killed runs leave is found and removed, and nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from testbed.emulation.sandbox.cleanup import Folder, Process, clean, leftovers, observe_processes
from testbed.emulation.sandbox.sandbox import SCRATCH_ROOT, SCRATCH_VARIABLE
from testbed.repository import REPOSITORY
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables
from tests.emulation.decoys import Decoys
from tests.emulation.runs import BUSIEST, wait_for

PYTHON = "/opt/project/.venv/bin/python"
LAUNCHES = (
    PYTHON,
    "-m",
    "testbed.emulation.sandbox.sandbox",
    PYTHON,
    "-m",
    "testbed.emulation",
    "run",
)
RUNS = LAUNCHES[3:]
SCRATCH = str(SCRATCH_ROOT / "100-abcdefgh")
FOLDER = Folder(Path(SCRATCH), 1000.0)
LAUNCHER = Process(100, 50, 990.0, LAUNCHES)
SANDBOX = Process(101, 100, 1001.0, RUNS, first=True, scratch=SCRATCH)
ORPHAN = Process(101, 1, 1001.0, RUNS, first=True, scratch=SCRATCH)


def left(*processes: Process) -> tuple[list[int], list[Path]]:
    found = leftovers(processes, [FOLDER])
    return [each.pid for each in found.sandboxes], [each.path for each in found.folders]


def test_a_run_that_goes_on_is_not_touched() -> None:
    assert left(LAUNCHER, SANDBOX) == ([], [])


def test_a_run_that_just_begins_is_not_touched() -> None:
    assert left(LAUNCHER) == ([], [])


def test_a_folder_whose_launcher_is_gone_is_left_over() -> None:
    assert left() == ([], [FOLDER.path])


def test_a_sandbox_without_its_launcher_is_left_over_with_its_folder() -> None:
    assert left(ORPHAN) == ([101], [FOLDER.path])


def test_a_sandbox_that_was_being_set_up_is_recognised_by_its_launchers_program() -> None:
    assert left(Process(101, 1, 1000.5, LAUNCHES, first=True))[0] == [101]
    assert left(LAUNCHER, Process(101, 100, 1000.5, LAUNCHES, first=True)) == ([], [])


@pytest.mark.parametrize(
    "command",
    [
        ("sleep", "600"),
        ("vim", "testbed.emulation.sandbox.sandbox"),
        (f"{PYTHON} -m testbed.emulation.sandbox.sandbox",),
    ],
)
def test_another_process_with_the_launchers_number_does_not_keep_the_folder(
    command: tuple[str, ...],
) -> None:
    assert left(Process(100, 50, 990.0, command)) == ([], [FOLDER.path])


def test_a_later_launcher_with_the_same_number_does_not_keep_the_folder() -> None:
    assert left(Process(100, 50, 5000.0, LAUNCHES)) == ([], [FOLDER.path])


def test_a_folder_in_use_is_kept_whatever_its_name_says() -> None:
    renumbered = Process(201, 200, 1001.0, RUNS, first=True, scratch=SCRATCH)
    assert left(Process(200, 50, 990.0, LAUNCHES), renumbered) == ([], [])


@pytest.mark.parametrize(
    "process",
    [
        Process(101, 1, 1001.0, ("bash",), scratch=SCRATCH),
        Process(101, 1, 1001.0, ("postgres",), first=True),
        Process(101, 1, 1001.0, ("postgres",), first=True, scratch="/srv/scratch/100-abcdefgh"),
        Process(101, 1, 1001.0, RUNS),
        Process(101, 1, 1001.0, ("testbed edge ap1",)),
    ],
    ids=["a shell with our variable", "a container", "its own variable", "no sandbox", "a name"],
)
def test_what_is_not_certainly_a_sandbox_is_not_ended(process: Process) -> None:
    assert left(process)[0] == []


@pytest.mark.parametrize("name", ["notes", "100", "100-", "x100-abcdefgh", "100-abcdefgh.bak"])
def test_a_folder_of_another_name_is_not_removed(name: str) -> None:
    assert leftovers([], [Folder(SCRATCH_ROOT / name, 1000.0)]).folders == ()


def test_this_process_is_observed_as_it_is() -> None:
    process = next(each for each in observe_processes() if each.pid == os.getpid())
    assert process.parent == os.getppid()
    assert abs(process.started_unix_s - time.time()) < 3600 * 24
    assert process.command[0].endswith(Path(sys.executable).name)
    assert not process.exiting


@pytest.mark.emulation
def test_only_empty_mount_points_of_runs_are_removed(tmp_path: Path) -> None:
    for name in ("999999999-abcdefgh", "999999998-abcdefgh", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "999999998-abcdefgh" / "mine.txt").write_text("keep")
    (tmp_path / "999999997-abcdefgh").symlink_to(tmp_path / "notes")
    cleaned = clean(tmp_path)
    assert cleaned.folders == (tmp_path / "999999999-abcdefgh",)
    assert cleaned.kept == (tmp_path / "999999998-abcdefgh",)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "999999997-abcdefgh",
        "999999998-abcdefgh",
        "notes",
    ]


@pytest.fixture
def decoys() -> Iterator[Decoys]:
    """Things of other people that look like a run's."""
    others = Decoys()
    try:
        others.make()
        yield others
    finally:
        others.remove()


@pytest.mark.emulation
@pytest.mark.timeout(60)
def test_a_sandbox_that_lost_its_launcher_is_ended(decoys: Decoys) -> None:
    call_clean()  # what earlier runs on this machine left
    scratch = SCRATCH_ROOT / "999999999-abcdefgh"
    scratch.mkdir(parents=True)
    parent = subprocess.Popen(
        ["unshare", "--fork", "--pid", "--mount", "--net", "sleep", "600"],
        env={**os.environ, SCRATCH_VARIABLE: str(scratch)},
    )
    try:
        orphan = wait_for(lambda: _first_child(parent.pid), "the sandbox to start", 10)
        assert call_clean() == {"sandboxes": [orphan], "folders": [str(scratch)], "kept": []}
        parent.wait(timeout=10)
        assert not scratch.exists()
        decoys.assert_alive()
    finally:
        parent.kill()
        parent.wait()


class Run:
    """A real experiment that has begun to answer queries, and all that it occupies."""

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        options = [*BUSIEST, "--clients", "1", "--duration", "600", "--compute", "profile"]
        self.said = folder.with_suffix(".said")
        self._links = _links()
        with self.said.open("wb") as said:
            self.launcher = subprocess.Popen(
                [sys.executable, "experiments/kaist_inception.py", *options, "--out", folder],
                cwd=REPOSITORY,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def wait_until_it_runs(self) -> None:
        records = self.folder.path / "records"

        def runs() -> bool:
            assert self.launcher.poll() is None, self.said.read_text()
            return any(path.stat().st_size for path in records.glob("queries.*.jsonl"))

        wait_for(runs, "the first query's record", 120)
        self._first = wait_for(lambda: _first_child(self.launcher.pid), "the sandbox", 1)
        self.scratch = next(SCRATCH_ROOT.glob(f"{self.launcher.pid}-*"))
        self._pids = _namespace("pid", self._first)
        self._networks = {_namespace("net", pid) for pid in _members("pid", {self._pids})}
        assert len(self._networks) > 10  # the sandbox's own, and one a node

    def assert_nothing_is_left(self) -> None:
        assert _members("pid", {self._pids}) == []
        assert _members("net", self._networks) == []
        listed = _output("lsns", "--type", "net", "--noheadings", "--output", "NS").split()
        assert not self._networks & {f"net:[{number}]" for number in listed}
        assert _links() == self._links
        assert str(self.scratch) not in Path("/proc/self/mountinfo").read_text()
        assert not self.scratch.exists()


@pytest.fixture
def run(tmp_path: Path, decoys: Decoys) -> Iterator[Run]:
    """A run in full swing, beside the decoys."""
    started = Run(tmp_path / "run")
    try:
        started.wait_until_it_runs()
        yield started
    finally:
        started.launcher.kill()
        started.launcher.wait(timeout=30)


@pytest.mark.emulation
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_kill_9_everything_ends_and_clean_removes_the_rest(run: Run, decoys: Decoys) -> None:
    assert call_clean() == {"sandboxes": [], "folders": [], "kept": []}  # it goes on
    assert run.launcher.poll() is None
    run.launcher.kill()
    run.launcher.wait(timeout=30)
    assert run.scratch.is_dir()
    assert call_clean()["folders"] == [str(run.scratch)]
    run.assert_nothing_is_left()
    decoys.assert_alive()
    assert run.folder.read_json("manifest")["status"] == "interrupted"


@pytest.mark.emulation
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_keeps_what_was_recorded_and_leaves_nothing(run: Run, decoys: Decoys) -> None:
    run.launcher.send_signal(signal.SIGINT)
    assert run.launcher.wait(timeout=120) == 130, run.said.read_text()
    run.assert_nothing_is_left()
    assert call_clean() == {"sandboxes": [], "folders": [], "kept": []}
    decoys.assert_alive()
    assert run.folder.read_json("manifest")["status"] == "interrupted"
    assert len(read_tables(run.folder.path)["queries"])
    assert run.folder.read_json("summary")["queries"] > 0
    assert run.folder.report.exists()


def call_clean() -> Any:
    return json.loads(_output(sys.executable, "-m", "testbed.cli", "clean", "--json"))


def _first_child(parent: int) -> int | None:
    """Return the process 1 of a PID namespace that a process started."""
    children = (each for each in observe_processes() if each.parent == parent and each.first)
    return next((each.pid for each in children if each.command[0] != "unshare"), None)


def _namespace(kind: str, pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return None


def _members(kind: str, namespaces: set[str | None]) -> list[int]:
    """Return the processes in these namespaces, without those that only wait for their parent."""
    found = []
    for pid in psutil.pids():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
            if not ended and _namespace(kind, pid) in namespaces - {None}:
                found.append(pid)
    return found


def _links() -> set[str]:
    return {link["ifname"] for link in json.loads(_output("ip", "-json", "link"))}


def _output(*command: str) -> str:
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    ).stdout
