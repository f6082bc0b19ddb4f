"""What the master believes that servers hold of one client's model, and for how long.

Servers do not tell. The master knows where the client is and since when, what it has ordered to be
sent, and how fast an upload can be; a policy that spares what is there already decides by this.
"""

from __future__ import annotations

from math import inf, isinf

from testbed.runs.warm_start import Beliefs


class Holdings:
    """A client's layers by server, as bytes in the order of upload.

    The client uploads at most `up_bytes_s` in a second; servers keep the layers of clients that
    left for another `kept_s`. `current` is the server that the client is at, None before it
    is at any, and `previous` the one before, if any.
    """

    def __init__(self, up_bytes_s: float, kept_s: float = 0.0) -> None:
        self.current: str | None = None
        self.previous: str | None = None
        self._up_bytes_s = up_bytes_s
        self._kept_s = kept_s
        self._since_s = -inf  # at the current server
        self._bytes: dict[str, float] = {}  # when last heard of; at the current one, when it came
        self._until_s: dict[str, float] = {}  # the time to live of the last offer

    def beliefs(self, now_s: float) -> Beliefs:
        """Return all of this, with times since `now_s`; what has run out is left out."""
        return Beliefs(
            current=self.current,
            previous=self.previous,
            since_s=None if isinf(self._since_s) else self._since_s - now_s,
            present_bytes=dict(self._bytes),
            until_s={
                server: None if isinf(until_s) else until_s - now_s
                for server, until_s in self._until_s.items()
                if until_s > now_s
            },
        )

    def begin_with(self, believed: Beliefs) -> None:
        """Take what was believed when the run began, at 0 s."""
        self.current, self.previous = believed.current, believed.previous
        self._since_s = -inf if believed.since_s is None else believed.since_s
        self._bytes = dict(believed.present_bytes)
        self._until_s = {
            server: inf if until_s is None else until_s
            for server, until_s in believed.until_s.items()
        }

    def at(self, server: str, time_s: float) -> None:
        """The client is at a server when it reports its position."""
        if server == self.current:
            return
        if self.current is not None:
            self._bytes[self.current] = self.bytes_at(self.current, time_s)
            if self._kept_s:
                before_s = self._until_s.get(self.current, -inf)
                self._until_s[self.current] = max(before_s, time_s + self._kept_s)
        self._bytes[server] = self.bytes_at(server, time_s)
        self.previous, self.current = self.current, server
        self._since_s = time_s

    def offer(self, server: str, time_s: float, until_s: float) -> None:
        """A server was offered layers at a time, and holds what it has until another."""
        before_s = self._until_s.get(server, -inf)
        if before_s <= time_s and server != self.current:
            self._bytes.pop(server, None)
        if until_s > before_s:
            self._until_s[server] = until_s

    def expect(self, server: str, size_bytes: float) -> None:
        """So much is on its way to a server that was offered layers."""
        self._bytes[server] = max(self._bytes.get(server, 0.0), size_bytes)

    def holds(self, server: str, time_s: float) -> bool:
        """Whether a server has layers: the client is there, or an offer has not run out."""
        return server == self.current or self._until_s.get(server, -inf) > time_s

    def bytes_at(self, server: str, time_s: float) -> float:
        """Return how much a server has at a time if nothing is sent to it meanwhile.

        An upload that has ended is not known of: more than the model's size is all of it.
        """
        if server == self.current:
            return self._bytes[server] + self._up_bytes_s * (time_s - self._since_s)
        return self._bytes.get(server, 0.0) if self.holds(server, time_s) else 0.0
