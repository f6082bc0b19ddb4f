"""The captures of every edge server's backhaul interface.

In each network namespace that holds switch ports one tcpdump listens to all interfaces and keeps
the ports at whose other end an access point stands. One process for all ports costs 0.5 % of a core
at 700 Mbit/s, where one process or thread a port would eat a core with no traffic. Link type
LINUX_SLL2 keeps interface and direction of each packet; after the run the files become one pcapng
with named interfaces.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from testbed.emulation.sandbox import background
from testbed.emulation.sandbox.waiting import wait_until
from testbed.errors import EmulationError

#: Link header (20), IPv4 (20), TCP with timestamps (32), preamble and header of a layer (119).
SNAP_BYTES = 192
_BUFFERS_KIB = 65536  # of all together
_LEAST_BUFFER_KIB = 4096
_INTERFACES = "interfaces.json"


class PacketCapture:
    """Running captures: entered before the first packet, left after the last.

    The raw files go to a new folder, what tcpdump says to `scratch`. `ports` are {network
    namespace: {index of a port there: the edge server behind it}}.
    """

    def __init__(self, folder: Path, ports: Mapping[Path, Mapping[int, str]], scratch: Path):
        folder.mkdir(parents=True)
        self._folder = folder
        self._ports = ports
        self._scratch = scratch
        self._dumps: list[_Dump] = []
        names = {f"{number}.pcap": dict(here) for number, here in enumerate(ports.values())}
        # What a report of this run needs if it is killed before the captures are rewritten
        (folder / _INTERFACES).write_text(json.dumps(names))

    @property
    def captured(self) -> int:
        """Packets that were captured."""
        return sum(dump.captured for dump in self._dumps)

    @property
    def dropped(self) -> int:
        """Packets that came and were not captured."""
        return sum(dump.dropped for dump in self._dumps)

    @property
    def complete(self) -> bool:
        """Whether all ran to the end."""
        return all(dump.complete for dump in self._dumps)

    def __enter__(self) -> PacketCapture:
        buffer_kib = max(_LEAST_BUFFER_KIB, _BUFFERS_KIB // max(1, len(self._ports)))
        with ExitStack() as started:
            started.push(self)
            for number, (namespace, here) in enumerate(self._ports.items()):
                file, log = self._folder / f"{number}.pcap", self._scratch / f"tcpdump-{number}.log"
                self._dumps.append(_Dump(file, namespace, here, buffer_kib, log))
            for dump in self._dumps:
                wait_until(dump.listens, "tcpdump to listen", 30)
            started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for dump in self._dumps:
            dump.interrupt()
        for dump in self._dumps:
            dump.wait()


def raw_captures(folder: Path) -> dict[Path, dict[int, str]]:
    """Return the raw files of a folder, each with the server behind each port.

    Raises OSError or ValueError if the names of their ports are lost.
    """
    names = json.loads((folder / _INTERFACES).read_text())
    return {
        folder / str(file): {int(index): str(name) for index, name in ports.items()}
        for file, ports in names.items()
    }


class _Dump:
    """One running tcpdump."""

    def __init__(
        self, file: Path, namespace: Path, ports: Iterable[int], buffer_kib: int, log: Path
    ) -> None:
        command = ["nsenter", f"--net={namespace}", "tcpdump", "--immediate-mode", "-U", "-n"]
        command += ["-i", "any", "-y", "LINUX_SLL2", "-s", str(SNAP_BYTES)]
        command += ["-B", str(buffer_kib), "-w", str(file), "-Z", "root"]
        command += [" or ".join(f"ifindex {index}" for index in ports)]
        self._process = background.start(command, log, niceness=background.SWITCH_NICENESS)
        self._log = log
        self.complete = True  # whether tcpdump ran to the end
        self.captured = 0
        self.dropped = 0

    def listens(self) -> bool:
        if self._process.poll() is not None:
            raise EmulationError(f"tcpdump ended: {self._log.read_text().strip()}")
        return "listening on" in self._log.read_text()

    def interrupt(self) -> None:
        self.complete = self._process.poll() is None
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        self._process.wait(timeout=30)
        output = self._log.read_text()
        self.captured = _count(output, "captured")
        self.dropped = _count(output, "dropped by kernel")


def _count(output: str, what: str) -> int:
    match = re.search(rf"(\d+) packets? {what}", output)
    return int(match.group(1)) if match else 0
