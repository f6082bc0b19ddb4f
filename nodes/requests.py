"""What the experiment asks of the nursery."""

from __future__ import annotations

import msgspec

from nodes.setup import ComputeMode, Role

MAX_REQUEST_BYTES = 4096


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Fork a node into the network namespace of the file `network`."""

    name: str
    role: Role
    mode: ComputeMode
    network: str


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Tell how large the model is; where `executed`, also how long a pass of it takes here."""

    executed: bool


class Build(msgspec.Struct, frozen=True, tag=True):
    """Build all clients' models; each is told of as `Built` over the socket that comes with it."""

    mode: ComputeMode


class Built(msgspec.Struct, frozen=True, tag=True):
    """A client's model is built; `failure` says why it is not."""

    client: str
    failure: str | None = None


class Building(msgspec.Struct, frozen=True, tag=True):
    """So many processes are building."""

    processes: int


class Forked(msgspec.Struct, frozen=True, tag=True):
    """The node runs as process `pid`."""

    pid: int


class ModelMeasure(msgspec.Struct, frozen=True, tag=True):
    """The model that clients query.

    Seconds of one pass: of a processor here (median; 0 if it was not executed) and on the emulated
    devices; `gpu_pass_s` of this machine's GPU, None where that does not execute for the servers.
    Bytes of its weights, and of the outputs that `memo` keeps of an input.
    """

    pass_s: float
    client_s: float
    server_s: float
    weight_bytes: int
    memo_bytes: int
    gpu_pass_s: float | None = None


Request = Build | Fork | Measure
Reply = Building | Forked | ModelMeasure
