"""One capture of every edge server's backhaul interface.

A single tcpdump listens to all interfaces of the sandbox and keeps the ports at whose other end an
access point stands. One process for all ports costs 0.5 % of a core at 700 Mbit/s, where one
process or thread a port would eat a core with no traffic. Link type LINUX_SLL2 keeps interface and
direction of each packet; after the run the file becomes a pcapng with named interfaces.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from testbed.emulation.waiting import wait_until
from testbed.errors import EmulationError

#: Link header (20), IPv4 (20, options seldom), TCP with timestamps (32), and a frame's preamble.
SNAP_BYTES = 112
_BUFFER_KIB = 65536


def interfaces_file(capture: Path) -> Path:
    """Return where the names of a raw capture's interfaces lie, by interface index."""
    return capture.with_name("interfaces.json")


class Capture:
    """A running tcpdump: entered before the first packet, left after the last.

    `interfaces` names the edge server behind each captured port, by the port's interface index.
    """

    def __init__(self, file: Path, interfaces: dict[int, str], scratch: Path) -> None:
        self.interfaces = interfaces
        self._file = file
        self._filter = " or ".join(f"ifindex {index}" for index in interfaces)
        self._log = scratch / "tcpdump.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.complete = True  # whether tcpdump ran to the end
        self.captured = 0
        self.dropped = 0

    def __enter__(self) -> Capture:
        # What a report of this run needs if it is killed before the capture is rewritten
        interfaces_file(self._file).write_text(json.dumps(self.interfaces))
        command = ["tcpdump", "--immediate-mode", "-U", "-n", "-i", "any", "-y", "LINUX_SLL2"]
        command += ["-s", str(SNAP_BYTES), "-B", str(_BUFFER_KIB), "-w", str(self._file)]
        command += ["-Z", "root", self._filter]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._listening, "tcpdump to listen", 10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self.complete = self._process.poll() is None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        said = self._log.read_text()
        self.captured = _count(said, "packets captured")
        self.dropped = _count(said, "packets dropped by kernel")

    def _listening(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise EmulationError(f"tcpdump ended: {self._log.read_text().strip()}")
        return "listening on" in self._log.read_text()


def _count(said: str, what: str) -> int:
    match = re.search(rf"(\d+) {what}", said)
    return int(match.group(1)) if match else 0
