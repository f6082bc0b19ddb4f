"""What all clients of a run in virtual time share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from testbed.errors import ConfigurationError
from testbed.policies import Policy, time_to_live_s
from testbed.simulation.attachment import Sharing
from testbed.simulation.stream import Stream
from testbed.values import AccessPoint


@dataclass(frozen=True, eq=False)
class World:
    """What all clients of a run share.

    Args:
        access_points: in the order by which they are numbered.
        policy: who gets which layers when.
        stream: the model.
        interval_s: of a step.
        duration_s: of the run.
        gap_s: from an answer to the next query.
        sharing: of the uplink.
        retain_uploads: whether servers keep the layers of clients that left.
    """

    access_points: Sequence[AccessPoint]
    policy: Policy
    stream: Stream
    interval_s: float
    duration_s: float
    gap_s: float
    sharing: Sharing
    retain_uploads: bool

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The access points' numbers by name."""
        return {each.name: number for number, each in enumerate(self.access_points)}

    @cached_property
    def time_to_live_s(self) -> float:
        """How long an offer holds layers."""
        return time_to_live_s(self.policy.settings.ttl_intervals, self.interval_s)

    @cached_property
    def layer_bytes(self) -> Sequence[int]:
        """The weights of each layer of the model."""
        sizes: list[int] = self.stream.offloading.graph.weight_bytes.tolist()
        return sizes

    def plan(self, server: str) -> Sequence[int]:
        """Return the layers that a server shall have, in the order of upload."""
        return self.stream.layers

    def step_s(self, step: int) -> float:
        """Return when a step begins, at the latest the run's end."""
        return min(step * self.interval_s, self.duration_s)

    def wanted_bytes(self, layers: Sequence[int]) -> int:
        """Return how much of the stream an offer is about.

        Raises:
            ConfigurationError: a policy offers layers in another order than that of upload.
        """
        if layers is self.stream.layers:
            return self.stream.size_bytes
        try:
            return self.stream.bytes_of(layers)
        except ValueError as error:
            raise ConfigurationError(
                f"{type(self.policy).__name__}: {error}; the simulator has no other offers"
            ) from error
