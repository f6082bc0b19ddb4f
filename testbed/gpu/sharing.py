"""How work progresses on a modelled accelerator: contention, heat and the clock. A model.

No parameter here was measured on a device. The formulas are the simplest ones with the effects that
section III.C.1 of the paper names (temporal and spatial sharing, interference in memory, heat), so
that statistics and execution times depend on each other as they do on a GPU: not on the number of
clients alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import msgspec

#: Share of a plain work's time that memory bounds.
MEMORY_SHARE = 0.3


class AcceleratorParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What the model assumes of an accelerator; the defaults are assumptions about a desktop GPU.

    With k clients at work, work of which memory bounds the share m of its time alone takes

        (1 + (1 - overlap) (k - 1)) * ((1 - m) / clock + m (1 + interference M / (1 + M)))

    times as long as alone and cool, where M is the sum of the other clients' m. The first factor is
    processor sharing, of which `overlap` is spared: small kernels of one client leave units idle
    that others' kernels fill, so k clients together get up to 1 / (1 - overlap) times the work done
    that one gets. The last term is what others cost a client in cache and memory: its traffic grows
    with theirs, at most by `interference`, when they have displaced all that it had cached.

    Temperature nears, with `time_constant_s`, idle_c + (full_c - idle_c) * heat, where heat is the
    work done per second over the most that could be. At `throttle_c` the kernels' clock falls to
    `throttled_clock` of itself until `resume_c`; memory has a clock of its own and keeps it.
    """

    overlap: float = 0.3
    interference: float = 0.5
    idle_c: float = 35.0
    full_c: float = 90.0
    time_constant_s: float = 30.0
    throttle_c: float = 84.0
    resume_c: float = 80.0
    throttled_clock: float = 0.85
    period_s: float = 1.0  # statistics look back so far; 1/6 to 1 s in NVML (the paper, note 1)
    base_memory_bytes: int = 500_000_000  # contexts and code, without any client's layers

    def __post_init__(self) -> None:
        floats = {name: getattr(self, name) for name in self.__struct_fields__}
        if not all(map(math.isfinite, floats.values())):
            raise ValueError(f"not finite: {floats}")
        for name, right in {
            "0 <= overlap < 1": 0 <= self.overlap < 1,
            "0 <= interference": self.interference >= 0,
            "idle_c <= full_c": self.idle_c <= self.full_c,
            "0 < time_constant_s": self.time_constant_s > 0,
            "idle_c < resume_c": self.idle_c < self.resume_c,
            "resume_c <= throttle_c - 1": self.resume_c <= self.throttle_c - 1,
            "0 < throttled_clock <= 1": 0 < self.throttled_clock <= 1,
            "0 < period_s": self.period_s > 0,
            "0 <= base_memory_bytes": self.base_memory_bytes >= 0,
        }.items():
            if not right:
                raise ValueError(f"an accelerator needs {name}, got {self}")

    def slowdown(
        self, clients: int, memory_share: float = MEMORY_SHARE, clock: float = 1.0
    ) -> float:
        """Return how many times longer than alone each of `clients` with equal work takes."""
        return self.sharing(clients) * self.stretch(
            memory_share, (clients - 1) * memory_share, clock
        )

    def sharing(self, clients: int) -> float:
        """Return the slowdown by `clients` (1 or more) taking turns."""
        return 1.0 + (1.0 - self.overlap) * (clients - 1)

    def stretch(self, memory_share: float, others: float, clock: float) -> float:
        """Return the slowdown by clock and interference; `others` is the other clients' traffic."""
        # Written as differences from 1, so that work alone on a cool accelerator has exactly 1
        return (
            1.0
            + (1.0 - memory_share) * (1.0 / clock - 1.0)
            + memory_share * (self.traffic(others) - 1.0)
        )

    def traffic(self, others: float) -> float:
        """Return how many times its own memory traffic a client causes beside the others'."""
        return 1.0 + self.interference * others / (1.0 + others)


DEFAULTS = AcceleratorParameters()


class Work(NamedTuple):
    """Seconds that something takes alone on a cool accelerator, by what bounds them.

    It progresses evenly: where in it the memory-bound kernels stand is not modelled.
    """

    compute_s: float
    memory_s: float

    @classmethod
    def of(cls, seconds: float, memory_share: float = MEMORY_SHARE) -> Work:
        """Return work that takes so long, of which memory bounds a share."""
        memory_s = seconds * memory_share
        return cls(seconds - memory_s, memory_s)

    @property
    def alone_s(self) -> float:
        """Its whole time alone."""
        return self.compute_s + self.memory_s


class Running(NamedTuple):
    """A client's work in progress."""

    client: str
    ticket: int
    remaining_s: float  # alone and cool
    memory_share: float


@dataclass(frozen=True)
class Phase:
    """The time between two events, in which every rate is constant.

    An event is the arrival, completion or end of work, or a change of the clock. `start_s` may be
    minus infinity before the first.
    """

    parameters: AcceleratorParameters
    start_s: float
    start_c: float
    throttled: bool
    running: tuple[Running, ...]  # one of each client

    @property
    def clock(self) -> float:
        """The kernels' clock, as a share of the unthrottled one."""
        return self.parameters.throttled_clock if self.throttled else 1.0

    @cached_property
    def slowdowns(self) -> tuple[float, ...]:
        """How many times longer than alone each work takes."""
        sharing = self.parameters.sharing(len(self.running))
        return tuple(
            sharing * self.parameters.stretch(work.memory_share, others, self.clock)
            for work, others in zip(self.running, self._others, strict=True)
        )

    @cached_property
    def memory_utilisation(self) -> float:
        """Share of the time in which memory is read or written."""
        busy = sum(
            work.memory_share * self.parameters.traffic(others) / slowdown
            for work, others, slowdown in zip(
                self.running, self._others, self.slowdowns, strict=True
            )
        )
        return min(1.0, busy)

    @cached_property
    def target_c(self) -> float:
        """The temperature that this load leads to."""
        parameters = self.parameters
        heat = (1.0 - parameters.overlap) * sum(1.0 / slowdown for slowdown in self.slowdowns)
        return parameters.idle_c + (parameters.full_c - parameters.idle_c) * heat

    @cached_property
    def completion(self) -> tuple[float, int]:
        """When the first work would complete at these rates, and its index; infinity if none."""
        ends = [
            (self.start_s + work.remaining_s * slowdown, work.ticket, index)
            for index, (work, slowdown) in enumerate(zip(self.running, self.slowdowns, strict=True))
        ]
        end_s, _, index = min(ends, default=(math.inf, -1, -1))
        return end_s, index

    @cached_property
    def clock_change_s(self) -> float:
        """When the temperature would make the clock change; infinity if never at this load."""
        parameters = self.parameters
        bound_c = parameters.resume_c if self.throttled else parameters.throttle_c
        way_c, left_c = self.target_c - self.start_c, self.target_c - bound_c
        if (left_c >= 0.0) if self.throttled else (left_c <= 0.0):
            return math.inf
        # By rounding, a phase may begin a little beyond the bound
        way = max(1.0, way_c / left_c)
        return self.start_s + parameters.time_constant_s * math.log(way)

    @property
    def end_s(self) -> float:
        """When it ends unless work comes or is cancelled."""
        return min(self.completion[0], self.clock_change_s)

    def temperature_c(self, now_s: float) -> float:
        """Return the temperature at an instant within the phase."""
        if now_s == self.start_s:
            return self.start_c
        fading = math.exp((self.start_s - now_s) / self.parameters.time_constant_s)
        return self.target_c + (self.start_c - self.target_c) * fading

    def running_at(self, now_s: float) -> tuple[Running, ...]:
        """Return the work in progress with what remains of it at an instant within the phase."""
        elapsed_s = now_s - self.start_s
        return tuple(
            work._replace(remaining_s=max(0.0, work.remaining_s - elapsed_s / slowdown))
            for work, slowdown in zip(self.running, self.slowdowns, strict=True)
        )

    def with_changed_clock(self) -> Phase:
        """Return the phase that follows at `clock_change_s`."""
        parameters = self.parameters
        return replace(
            self,
            start_s=self.clock_change_s,
            start_c=parameters.resume_c if self.throttled else parameters.throttle_c,
            throttled=not self.throttled,
            running=self.running_at(self.clock_change_s),
        )

    @cached_property
    def _others(self) -> tuple[float, ...]:
        """The memory shares of all other clients, summed, for each."""
        total = math.fsum(work.memory_share for work in self.running)
        return tuple(total - work.memory_share for work in self.running)
