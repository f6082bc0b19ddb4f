"""A client's uplink in SimPy, where its upload and its queries' tensors meet."""

from __future__ import annotations

from typing import Any, Protocol

import simpy


class PeerUplink(Protocol):
    """What carries bytes from a client to its server."""

    def send(self, count: float) -> simpy.Event:
        """Return what happens when so many bytes are through."""

    def stop(self, sending: simpy.Event) -> float:
        """Stop what is under way; return how many of its bytes are not through."""


class Separate:
    """Each sending has the whole rate, as if it were alone.

    Args:
        env: the simulation.
        bytes_s: the rate, in bytes a second.
    """

    def __init__(self, env: simpy.Environment, bytes_s: float) -> None:
        self._env = env
        self._bytes_s = bytes_s

    def send(self, count: float) -> simpy.Event:
        """Return what happens when so many bytes are through; its value is the time."""
        seconds = count / self._bytes_s
        return self._env.timeout(seconds, self._env.now + seconds)

    def stop(self, sending: simpy.Event) -> float:
        """Stop what is under way; return how many of its bytes are not through."""
        until_s: Any = sending.value
        left: float = (until_s - self._env.now) * self._bytes_s
        return left


class Shared:
    """Those that send at the same time have equal parts of the rate.

    Args:
        env: the simulation.
        bytes_s: the rate, in bytes a second.
    """

    def __init__(self, env: simpy.Environment, bytes_s: float) -> None:
        self._env = env
        self._bytes_s = bytes_s
        self._left: dict[simpy.Event, float] = {}  # bytes of each that is under way
        self._since_s = 0.0  # when they were that many
        self._alarm: Any = None  # when the first of them is through

    def send(self, count: float) -> simpy.Event:
        """Return what happens when so many bytes are through."""
        self._flow()
        sending = self._env.event()
        self._left[sending] = count
        self._plan()
        return sending

    def stop(self, sending: simpy.Event) -> float:
        """Stop what is under way; return how many of its bytes are not through."""
        self._flow()
        left = self._left.pop(sending)
        self._plan()
        return left

    def _flow(self) -> None:
        """Take off what is through by now."""
        seconds = self._env.now - self._since_s
        for sending in self._left:
            self._left[sending] -= seconds * self._bytes_s / len(self._left)
        self._since_s = self._env.now

    def _plan(self) -> None:
        """Set the alarm for the first that will be through if nothing changes before."""
        self._alarm = None
        if self._left:
            sending = min(self._left, key=self._left.__getitem__)
            bytes_s = self._bytes_s / len(self._left)
            alarm: Any = self._env.timeout(max(0.0, self._left[sending]) / bytes_s, sending)
            alarm.callbacks.append(self._through)
            self._alarm = alarm

    def _through(self, alarm: Any) -> None:
        if self._alarm is not alarm:
            return  # something has changed since
        self._flow()
        through: simpy.Event = alarm.value
        del self._left[through]
        through.succeed()
        self._plan()
