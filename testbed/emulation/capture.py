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
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from testbed.emulation import background
from testbed.emulation.waiting import wait_until
from testbed.errors import EmulationError

#: Link header (20), IPv4 (20), TCP with timestamps (32), preamble and header of a layer (119).
SNAP_BYTES = 192
_BUFFERS_KIB = 65536  # of all together
_LEAST_BUFFER_KIB = 4096
_INTERFACES = "interfaces.json"


class Capture:
    """Running captures: entered before the first packet, left after the last.

    Args:
        folder: a new one for the raw files.
        ports: {network namespace: {index of a port there: the edge server behind it}}.
        scratch: where tcpdump's own words go.
    """

    def __init__(self, folder: Path, ports: Mapping[Path, Mapping[int, str]], scratch: Path):
        folder.mkdir(parents=True)
        buffer_kib = max(_LEAST_BUFFER_KIB, _BUFFERS_KIB // max(1, len(ports)))
        self._dumps = []
        names = {}
        for number, (namespace, here) in enumerate(ports.items()):
            file = folder / f"{number}.pcap"
            names[file.name] = dict(here)
            log = scratch / f"tcpdump-{number}.log"
            self._dumps.append(_Dump(file, namespace, tuple(here), buffer_kib, log))
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

    def __enter__(self) -> Capture:
        with ExitStack() as started:
            for dump in self._dumps:
                started.callback(dump.stop)
                dump.start()
            for dump in self._dumps:
                dump.wait()
            started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for dump in self._dumps:
            dump.end()
        for dump in self._dumps:
            dump.stop()


def raw_captures(folder: Path) -> dict[Path, dict[int, str]]:
    """Return the raw files of a folder, each with the server behind each port.

    Raises:
        OSError, ValueError: the names of their ports are lost.
    """
    names = json.loads((folder / _INTERFACES).read_text())
    return {
        folder / str(file): {int(index): str(name) for index, name in ports.items()}
        for file, ports in names.items()
    }


class _Dump:
    """One running tcpdump."""

    def __init__(
        self, file: Path, namespace: Path, ports: tuple[int, ...], buffer_kib: int, log: Path
    ) -> None:
        self._command = ["nsenter", f"--net={namespace}", "tcpdump", "--immediate-mode", "-U", "-n"]
        self._command += ["-i", "any", "-y", "LINUX_SLL2", "-s", str(SNAP_BYTES)]
        self._command += ["-B", str(buffer_kib), "-w", str(file), "-Z", "root"]
        self._command += [" or ".join(f"ifindex {index}" for index in ports)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.complete = True  # whether tcpdump ran to the end
        self.captured = 0
        self.dropped = 0

    def start(self) -> None:
        self._process = background.start(
            self._command, self._log, niceness=background.SWITCH_NICENESS
        )

    def wait(self) -> None:
        wait_until(self._listening, "tcpdump to listen", 30)

    def end(self) -> None:
        assert self._process is not None
        self.complete = self._process.poll() is None
        self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        said = self._log.read_text()
        self.captured = _count(said, "captured")
        self.dropped = _count(said, "dropped by kernel")

    def _listening(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise EmulationError(f"tcpdump ended: {self._log.read_text().strip()}")
        return "listening on" in self._log.read_text()


def _count(said: str, what: str) -> int:
    match = re.search(rf"(\d+) packets? {what}", said)
    return int(match.group(1)) if match else 0
