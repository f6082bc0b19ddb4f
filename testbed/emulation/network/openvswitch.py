"""An Open vSwitch of the run's own: ovsdb-server and ovs-vswitchd beside the machine's.

The userspace datapath (`datapath_type=netdev`) is used even where the kernel module exists: two
ovs-vswitchd processes would fight over the kernel's datapath, and the machine's belongs to the
user. TCP segmentation stays offloaded (userspace-tso), which carries 6.9 instead of 0.8 Gbit/s on
two cores.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from testbed.emulation.network.packet_sockets import enlarge_buffers
from testbed.emulation.sandbox import background
from testbed.emulation.sandbox.waiting import wait_until
from testbed.errors import EmulationError

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")

#: TCP segments cross unsplit; and one thread each for what this datapath hardly does.
_OTHER_CONFIG = ("userspace-tso-enable=true", "n-handler-threads=1", "n-revalidator-threads=1")
_READY_S = 60
#: To the receiver alone (a group address that no bridge forwards), of an experimental EtherType.
_UNHEARD_FRAME = "0180c2000000" + "020000000002" + "88b5" + "00" * 46

#: A call of ovs-vswitchd in JSON-RPC, as `ovs-appctl` makes it.
_PURGE = b'{"id": 0, "method": "revalidator/purge", "params": []}'

_log = logging.getLogger(__name__)


class OpenVSwitch:
    """An Open vSwitch: as a context manager, the one that Mininet's own commands find.

    `environment` is what makes the commands of Open vSwitch speak to this one. Its switches' ports
    are in the network namespace that a file holds, or in this one.
    """

    def __init__(self, folder: Path, namespace: Path | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._inside = [] if namespace is None else ["nsenter", f"--net={namespace}"]
        self.environment = {
            f"OVS_{kind}DIR": str(folder) for kind in ("RUN", "DB", "LOG", "SYSCONF")
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._control: socket.socket | None = None
        self._asking = threading.Lock()

    def __enter__(self) -> OpenVSwitch:
        os.environ.update(self.environment)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, first: Sequence[str] = ()) -> None:
        """Start it with what these arguments of `ovs-vsctl` make; return when that is there."""
        database, listening = self._folder / "conf.db", self._folder / "db.sock"
        self._run("ovsdb-tool", "create", str(database), str(SCHEMA))
        self._start("ovsdb-server", str(database), f"--remote=punix:{listening}")
        wait_until(listening.exists, "ovsdb-server to listen", 10)
        config = [f"other_config:{each}" for each in _OTHER_CONFIG]
        self._run("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", *config)
        if first:
            self._run("ovs-vsctl", "--no-wait", *first)
        self._start("ovs-vswitchd", f"unix:{listening}")
        # Without --no-wait it returns when ovs-vswitchd has done all that the database says
        waiting = ("ovs-vsctl", f"--timeout={_READY_S}", "set", "Open_vSwitch", ".")
        self._run(*waiting, "external_ids:started=true")

    def make_room(self, switch: str, port: int) -> None:
        """Enlarge the buffers of its ports' sockets; a frame to a port makes it open them."""
        out = f"in_port=CONTROLLER,packet={_UNHEARD_FRAME},actions=output:{port}"
        self._run("ovs-ofctl", "--protocols=OpenFlow13", "packet-out", switch, out)
        try:
            enlarge_buffers(self._processes[-1].pid)
        except OSError as error:
            _log.warning("Open vSwitch's ports keep small buffers: %s", error)

    def forget_cached_flows(self) -> None:
        """Have packets go by the flow tables as they are now, not by what was cached of them.

        A barrier confirms the tables alone; the datapath's cache would follow some milliseconds
        later. It is emptied instead, and fills with the next packets.
        """
        with self._asking:
            if self._control is None:
                pid = self._processes[-1].pid
                self._control = socket.socket(socket.AF_UNIX)
                self._control.settimeout(_READY_S)
                self._control.connect(str(self._folder / f"ovs-vswitchd.{pid}.ctl"))
            self._control.sendall(_PURGE)
            answer = json.loads(self._control.recv(1 << 16))
        if answer.get("error"):
            raise EmulationError(f"ovs-vswitchd: {answer['error']}")

    def terminate(self) -> None:
        """Have its processes end, and with them its switches."""
        for process in reversed(self._processes):
            process.terminate()

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self.terminate()
        for process in self._processes:
            process.wait()
        self._processes.clear()
        if self._control is not None:
            self._control.close()
            self._control = None

    def _start(self, program: str, *arguments: str) -> None:
        executable = shutil.which(program) or f"/usr/sbin/{program}"
        command = [*self._inside, executable, *arguments, "--no-chdir", "--pidfile"]
        command += [f"--log-file={self._folder / program}.log", "-vconsole:off", "-vsyslog:off"]
        niceness = background.SWITCH_NICENESS
        process = background.start(command, niceness=niceness, environment=self.environment)
        self._processes.append(process)

    def _run(self, *command: str) -> None:
        shown = " ".join(command[:8])
        background.run(command, shown, timeout_s=2 * _READY_S, environment=self.environment)
