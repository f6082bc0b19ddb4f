"""A steady flow of small packets to many clients, and when each of them arrives.

All sockets are this process's, made in the network namespaces of sender and receivers; arrivals
carry the kernel's own timestamps, so nothing that this process does later counts.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from testbed.namespaces import inside_network

PORT = 7777
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; also the control message's type
_NUMBER = struct.Struct("!I")
_STAMP = struct.Struct("=qq")


class UdpProbe:
    """Sends every receiver a numbered packet each interval while it is entered.

    Args:
        sender: network namespace it sends from.
        receivers: network namespace and IPv4 address of each receiver.
        interval_s: between two packets to the same receiver, wall seconds.
    """

    def __init__(
        self, sender: Path, receivers: Mapping[str, tuple[Path, str]], interval_s: float
    ) -> None:
        with inside_network(sender):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._interval_s = interval_s
        self._addresses = {name: address for name, (_, address) in receivers.items()}
        self._in: dict[str, socket.socket] = {}
        for name, (namespace, address) in receivers.items():
            with inside_network(namespace):
                listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            listening.bind((address, PORT))
            listening.setblocking(False)
            self._in[name] = listening
        #: (monotonic time, number) of each packet that a receiver got, in that order
        self.arrivals: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self.sent = 0  # packets to each receiver
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._send, self._receive)]
        self._offset_s = time.time() - time.monotonic()

    def __enter__(self) -> UdpProbe:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for each in (self._out, *self._in.values()):
            each.close()

    def around(self, name: str, at_s: float) -> tuple[float, float] | None:
        """Return when the last packet before an instant came, and the first from then on.

        None if one of them never came.
        """
        times = [time_s for time_s, _ in self.arrivals[name]]
        place = bisect_left(times, at_s)
        return (times[place - 1], times[place]) if 0 < place < len(times) else None

    def _send(self) -> None:
        due_s = time.monotonic()
        while not self._stop.is_set():
            data = _NUMBER.pack(self.sent)
            for address in self._addresses.values():
                try:
                    self._out.sendto(data, (address, PORT))
                except OSError:  # nobody there to answer for it
                    continue
            self.sent += 1
            due_s += self._interval_s
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _receive(self) -> None:
        with selectors.DefaultSelector() as selector:
            for name, listening in self._in.items():
                selector.register(listening, selectors.EVENT_READ, name)
            while not self._stop.is_set():
                for key, _ in selector.select(timeout=0.1):
                    self._take(key.data, self._in[key.data])

    def _take(self, name: str, listening: socket.socket) -> None:
        while True:
            try:
                data, control, _, _ = listening.recvmsg(64, 128)
            except BlockingIOError:
                return
            for level, kind, stamp in control:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _STAMP.unpack_from(stamp)
                    at_s = seconds + nanoseconds / 1e9 - self._offset_s
                    self.arrivals[name].append((at_s, *_NUMBER.unpack(data)))
