"""Time to live (TTL): which layers of a client a server holds, and until when (section III.B.2).

Pure bookkeeping: an edge server keeps files beside it, the simulator nothing. Another client's
copy of the same bytes never counts, since models are personal (section IV.B.1).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from testbed.settings.offloads import Migration

LayerKey = TypeVar("LayerKey", bound=Hashable)

#: Positions are reported once an interval, so who moves in the last interval of the time to live is
#: seen at its end, when layers must still be there.
_GRACE_INTERVALS = 0.5


def time_to_live_s(ttl_intervals: int, interval_s: float) -> float:
    """Return how long an offer holds layers, in seconds from the report that it answers.

    By default 165 s: `migration.ttl_intervals` is 5 (section IV.B.3), `traces.interval_s` 30 s.
    """
    return (ttl_intervals + _GRACE_INTERVALS) * interval_s


def kept_after_leaving_s(settings: Migration, interval_s: float) -> float:
    """Return how long a server keeps a client's layers after it left, in seconds.

    None by default: only offers hold them (section III.B.2). With `keep_after_leaving` it is the
    time to live, as if the client had been offered them where it leaves; many changes of server
    lead back (in KAIST 38 % within five intervals). With `retain_uploads` it is infinity.
    """
    if settings.retain_uploads:
        return math.inf
    ttl_s = time_to_live_s(settings.ttl_intervals, interval_s)
    return ttl_s if settings.keep_after_leaving else 0.0


@dataclass(slots=True)
class Hold:
    """Why a server keeps one client's layers, and until when."""

    offered_until_s: float = -math.inf  # when the time to live of the last offer is over
    attached: bool = False  # whether the client is here
    sending: int = 0  # migrations to other servers that are under way

    def offer(self, until_s: float) -> None:
        """Another server offered the layers: hold what is here until `until_s` (TTL)."""
        self.offered_until_s = max(self.offered_until_s, until_s)

    def leave(self, now_s: float, kept_s: float) -> None:
        """The client is no longer attached; what is here may be kept for a time, or for good."""
        self.attached = False
        if kept_s:
            self.offer(kept_s if math.isinf(kept_s) else now_s + kept_s)

    def expires_s(self) -> float:
        """When the layers may be discarded: infinity while the client is here or they are sent."""
        return math.inf if self.attached or self.sending else self.offered_until_s


@dataclass(slots=True)
class _Holding(Hold, Generic[LayerKey]):
    present_bytes: dict[LayerKey, int] = field(default_factory=dict)


class HeldLayers(Generic[LayerKey]):
    """The layers that one server holds, by client.

    A client's layers stay while it is attached, while they are being sent on, and until the time to
    live of the last offer is over. When it leaves they stay for another `kept_s`.
    """

    def __init__(self, kept_s: float = 0.0) -> None:
        self._kept_s = kept_s
        self._holdings: dict[str, _Holding[LayerKey]] = {}

    def present_bytes(self, client: str, layer: LayerKey) -> int:
        """Return how many leading bytes of this layer are here."""
        holding = self._holdings.get(client)
        return 0 if holding is None else holding.present_bytes.get(layer, 0)

    def add(self, client: str, layer: LayerKey, present_bytes: int) -> None:
        """Record that the first `present_bytes` bytes of a layer have arrived; never shrinks."""
        present = self._holding(client).present_bytes
        present[layer] = max(present.get(layer, 0), present_bytes)

    def forget(self, client: str, layer: LayerKey) -> None:
        """The bytes of a layer have proved wrong: none are here."""
        self._holding(client).present_bytes.pop(layer, None)

    def attach(self, client: str) -> None:
        """The client is now attached to this server."""
        self._holding(client).attached = True

    def offer(self, client: str, until_s: float) -> None:
        """Another server offered the client's layers: hold what is here until `until_s` (TTL)."""
        self._holding(client).offer(until_s)

    def release(self, client: str) -> None:
        """No offer holds the client's layers any more."""
        self._holding(client).offered_until_s = -math.inf

    def leave(self, client: str, now_s: float) -> None:
        """The client is no longer attached; `discard_expired` then drops what nothing holds."""
        self._holding(client).leave(now_s, self._kept_s)

    def start_sending(self, client: str) -> None:
        """The client's layers are being sent to another server: keep them until that has ended."""
        self._holding(client).sending += 1

    def stop_sending(self, client: str) -> None:
        """One migration of the client's layers has ended."""
        self._holding(client).sending -= 1

    def discard_expired(self, now_s: float) -> dict[str, tuple[LayerKey, ...]]:
        """Forget the clients whose layers have expired; return those layers."""
        expired = [
            client for client, holding in self._holdings.items() if holding.expires_s() <= now_s
        ]
        return {client: tuple(self._holdings.pop(client).present_bytes) for client in expired}

    def next_expiry_s(self) -> float:
        """Return when `discard_expired` may next find something; infinity if never."""
        return min((holding.expires_s() for holding in self._holdings.values()), default=math.inf)

    def _holding(self, client: str) -> _Holding[LayerKey]:
        return self._holdings.setdefault(client, _Holding())
