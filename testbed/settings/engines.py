"""How layers are executed and how time passes, in either engine."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from testbed.settings.section import NotNegative, Section

Precision = Literal["float32", "bfloat16"]


class Compute(Section, frozen=True, kw_only=True):
    """How layers are executed and how time passes."""

    mode: Annotated[
        Literal["auto", "real", "memo", "profile"],
        Meta(
            description="real: every query is executed in time; memo: answers are computed before"
            " the run and replayed in time, and executed when there is time; profile: none"
        ),
    ] = "auto"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Meta(
            description="what executes the edge servers' layers: the processors, or this machine's"
            " NVIDIA GPU (auto: the GPU where there is one); clients stay on the processors"
        ),
    ] = "auto"
    precision: Annotated[
        Precision,
        Meta(
            description="of executed layers; bfloat16 is meant for processors with AMX, or a GPU,"
            " and compared within a tolerance of its own"
        ),
    ] = "float32"
    tdf: Annotated[
        Annotated[float, Meta(ge=1)] | Literal["auto"],
        Meta(
            description="time dilation: the run takes so many times longer (auto: the least that"
            " this machine can keep, found out before it)"
        ),
    ] = 1.0
    execute_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="memo: at most this share of the queries is executed too, from what came"
            " over the sockets, and compared; less if the machine has no time",
        ),
    ] = 1.0
    finish_s: Annotated[
        NotNegative,
        Meta(description="memo: executions that are left at the end go on for so long, wall time"),
    ] = 60.0
    verify_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="share of queries whose answer is compared with that of the whole model,"
            " executed once more",
        ),
    ] = 0.01
    machines: Annotated[
        tuple[str, ...],
        Meta(
            description="machines that access points are spread over: localhost, host, user@host or"
            " host:/folder (none: this one alone)"
        ),
    ] = ()

    @property
    def dilation(self) -> float:
        """The time dilation factor; of "auto" that of a run which has not been dilated yet."""
        return 1.0 if isinstance(self.tdf, str) else self.tdf


class Simulation(Section, frozen=True, kw_only=True):
    """What the simulator models of the network; the paper's has separate, unlimited, no headers."""

    sharing: Annotated[
        Literal["shared", "separate"],
        Meta(
            description="upload and queries have half the uplink each while both are there, as"
            " emulated, or each as if it were alone"
        ),
    ] = "shared"
    backhaul: Annotated[
        Literal["limited", "unlimited"],
        Meta(description="migrations share links max-min fairly, or take no time"),
    ] = "limited"
    headers: Annotated[
        bool, Meta(description="links carry Ethernet, IP and TCP headers beside the data")
    ] = True
    beside: Annotated[
        bool,
        Meta(
            description="an emulated run is simulated too, also without migration and with all"
            " layers everywhere, and its report compares them"
        ),
    ] = True
