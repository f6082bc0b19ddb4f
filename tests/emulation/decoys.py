"""Other people's networks and processes, made to resemble a run's; a clean-up must spare them."""

from __future__ import annotations

import os
import subprocess
import uuid

from testbed.emulation.sandbox.sandbox import SCRATCH_ROOT, SCRATCH_VARIABLE


class Decoys:
    """A named network namespace with a veth, a bridge of the machine's Open vSwitch, processes."""

    def __init__(self) -> None:
        self._name = f"decoy{uuid.uuid4().hex[:6]}"
        self._link = f"{self._name}-a"
        self._bridge: str | None = None
        self._started_switch = False
        self._processes: list[subprocess.Popen[bytes]] = []

    def make(self) -> None:
        peer = f"{self._name}-b"
        _run("ip", "netns", "add", self._name)
        _run("ip", "link", "add", self._link, "type", "veth", "peer", peer, "netns", self._name)
        if self._machine_has_open_vswitch():
            self._bridge = f"{self._name}-br"
            netdev = ["set", "bridge", self._bridge, "datapath_type=netdev"]
            _run("ovs-vsctl", "--timeout=20", "add-br", self._bridge, "--", *netdev)
        scratch = str(SCRATCH_ROOT / "999999998-abcdefgh")
        for name in (
            "python -m testbed.emulation.sandbox.sandbox",
            "testbed edge ap1",
            "ovs-vswitchd",
        ):
            self._start([name, "600"], "/usr/bin/sleep", {SCRATCH_VARIABLE: scratch})
        self._start(["unshare", "--fork", "--pid", "--net", "--kill-child", "sleep", "600"])

    def assert_alive(self) -> None:
        assert [process.poll() for process in self._processes] == [None] * len(self._processes)
        assert self._name in _run("ip", "netns", "list").split()
        assert f"{self._name}-b" in _run("ip", "-netns", self._name, "link")
        assert self._link in _run("ip", "link")
        if self._bridge is not None:
            assert self._bridge in _run("ovs-vsctl", "--timeout=20", "list-br").split()

    def remove(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(timeout=10)
        if self._bridge is not None:
            _try("ovs-vsctl", "--timeout=20", "--if-exists", "del-br", self._bridge)
        if self._started_switch:
            _try("service", "openvswitch-switch", "stop")
        _try("ip", "link", "delete", self._link)
        _try("ip", "netns", "delete", self._name)

    def _machine_has_open_vswitch(self) -> bool:
        """Return whether the machine's own Open vSwitch runs, starting it if need be."""
        if _try("ovs-vsctl", "--timeout=3", "show"):
            return True
        self._started_switch = _try("service", "openvswitch-switch", "start")
        return self._started_switch

    def _start(
        self,
        command: list[str],
        program: str | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        environment = {**os.environ, **(variables or {})}
        self._processes.append(
            subprocess.Popen(command, executable=program, env=environment, stdin=subprocess.DEVNULL)
        )


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"
    return result.stdout


def _try(*command: str) -> bool:
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
