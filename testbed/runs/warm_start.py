"""How a run begins where a day would be: what servers hold by then, and what the master believes.

A window of a day does not begin with empty servers. What the hours before it leave is computed by
the simulator, with the same people and the same policy, and both engines begin with it.
"""

from __future__ import annotations

import msgspec

from testbed.settings.units import format_size

EMPTY = "servers are empty"  # where there is none


class Held(msgspec.Struct, frozen=True):
    """A client's layers at a server: bytes in the order of upload, until when (None: for good)."""

    server: str
    present_bytes: int
    until_s: float | None


class Beliefs(msgspec.Struct, frozen=True):
    """What `testbed.decision.holdings.Holdings` has of one client; times since the run's start."""

    current: str | None = None
    previous: str | None = None
    since_s: float | None = None
    present_bytes: dict[str, float] = {}
    until_s: dict[str, float | None] = {}


class Beginning(msgspec.Struct, frozen=True):
    """How one client begins: who served it until now, who holds its layers.

    `image_at` is the server that had its image last, where a policy moves images.
    """

    served_by: str | None
    held: tuple[Held, ...]
    believed: Beliefs
    image_at: str | None = None


class WarmStart(msgspec.Struct, frozen=True):
    """How a run begins. Clients of whom nothing is known from before begin with nothing.

    `layers` are the server's layers in the order of upload; `past_s` is how much time before the
    run was simulated, and `left_out` how often a server that is no part of it held layers.
    """

    layers: tuple[int, ...]
    clients: dict[str, Beginning]
    past_s: float
    left_out: int

    def described(self) -> str:
        """Return what a manifest, and the screen, tell of it."""
        held = [each for begins in self.clients.values() for each in begins.held]
        servers = len({each.server for each in held})
        text = (
            f"{servers} servers hold layers of {len(self.clients)} clients,"
            f" {format_size(sum(each.present_bytes for each in held))} in all, by the simulation of"
            f" the {_duration(self.past_s)} before"
        )
        if self.left_out:
            text += f"; {self.left_out} times also one that is no part of this run, left out"
        return text

    def concerns(self, server: str) -> bool:
        """Whether a server holds something when the run begins."""
        images = (begins.image_at for begins in self.clients.values())
        return bool(self.at(server)) or server in images

    def at(self, server: str) -> dict[str, Held]:
        """Return what a server holds, by client."""
        return {
            client: held
            for client, begins in self.clients.items()
            for held in begins.held
            if held.server == server
        }


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
