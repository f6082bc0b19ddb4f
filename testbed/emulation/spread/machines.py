"""The machines of a run: how they are named, who gets which access points, how clocks differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from testbed.errors import ConfigurationError
from testbed.repository import REPOSITORY

#: The machine where the run is started. It has the master, the clients, all switches and the air,
#: and access points only where it is named.
HERE = "localhost"


@dataclass(frozen=True)
class Machine:
    """A machine that takes access points: what `ssh` calls it, and its checkout of the testbed."""

    destination: str
    folder: Path

    @classmethod
    def parse(cls, text: str) -> Machine:
        """Read "host", "user@host" or "host:/folder"; the folder is by default the one here.

        Raises ConfigurationError if it is in another form.
        """
        destination, colon, folder = text.partition(":")
        user, at, host = destination.rpartition("@")
        if not host or (at and not user) or destination.startswith("-") or " " in destination:
            raise ConfigurationError(f"machine {text!r}: expected host, user@host or host:/folder")
        if colon and not folder.startswith("/"):
            raise ConfigurationError(f"machine {text!r}: the folder has to begin with /")
        if colon and destination == HERE:
            raise ConfigurationError(f"machine {text!r}: here the folder is the one you run in")
        return cls(destination, Path(folder) if folder else REPOSITORY)

    @property
    def python(self) -> Path:
        """The testbed's Python there."""
        return self.folder / ".venv" / "bin" / "python"


def parse_all(texts: Iterable[str]) -> tuple[Machine, ...]:
    """Read the names of a run's machines; ConfigurationError if one is wrong, or named twice."""
    machines = tuple(Machine.parse(text) for text in texts)
    names = [machine.destination for machine in machines]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"machines named twice: {', '.join(sorted(twice))}")
    return machines


def place(access_points: Sequence[str], processors: Mapping[str, int]) -> dict[str, str]:
    """Return the machine of each access point, `HERE` without machines.

    Machines have shares as their processors. Neighbours in the given order, who are busy at the
    same time, go to different machines: each goes to the one that is furthest behind its share.
    """
    if not processors:
        return dict.fromkeys(access_points, HERE)
    total = sum(processors.values())
    owed = dict.fromkeys(processors, 0)
    placed = {}
    for access_point in access_points:
        for machine, count in processors.items():
            owed[machine] += count
        furthest_behind = max(owed, key=lambda machine: owed[machine])
        owed[furthest_behind] -= total
        placed[access_point] = furthest_behind
    return placed


class Exchange(NamedTuple):
    """Another machine's clock was asked at `asked_s`, said `there_s`, was heard at `heard_s`."""

    asked_s: float
    there_s: float
    heard_s: float


class ClockOffset(NamedTuple):
    """What another machine's monotonic clock is ahead of this one's, in seconds.

    The true offset differs from `offset_s` by `uncertainty_s` at most: the other clock was read
    at some instant between asking and hearing.
    """

    offset_s: float
    uncertainty_s: float

    @classmethod
    def of(cls, exchanges: Iterable[Exchange]) -> ClockOffset:
        """Return what the quickest exchange tells; ValueError if there is none."""
        asked_s, there_s, heard_s = min(exchanges, key=lambda each: each.heard_s - each.asked_s)
        return cls(there_s - (asked_s + heard_s) / 2, (heard_s - asked_s) / 2)
