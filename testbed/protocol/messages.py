"""The messages between clients, edge servers and the master.

Each is the header of a frame (`testbed.protocol.framing`), told apart by its "type". Each kind of
traffic has a port of its own, so a capture tells the cause of every byte and Wireshark filters it
with `tcp.port == 7003`.
"""

from __future__ import annotations

import math

import msgspec

from testbed.dnn.graph import LayerGraph
from testbed.gpu.stats import ServerStats

PORTS = {"control": 7000, "query": 7001, "upload": 7002, "migration": 7003}

MAX_BODY_BYTES = 1 << 30  # one layer or one set of tensors; Inception's largest layer is 90 MB


class Message(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of every header."""


class LayerRef(msgspec.Struct, frozen=True):
    """One layer's weights by content: `digest` is the SHA-256 of its `size_bytes` raw bytes."""

    layer: int
    digest: str
    size_bytes: int


# Control: client and edge server <-> master


class EdgeHello(Message, frozen=True, tag="edge_hello"):
    """An edge server announces itself to the master."""

    server: str


class Register(Message, frozen=True, tag="register"):
    """A client's DNN profile (no weights) and current trajectory (section III.B).

    Raises ValueError for sizes or work of a layer out of range, weights that are not exactly those
    of the layers, times that are not one a layer, or positions or times that are not finite.
    """

    client: str
    graph: LayerGraph
    weights: tuple[LayerRef, ...]
    client_s: tuple[float, ...]  # time of each layer on the client, (n_layers,)
    trajectory: tuple[tuple[float, float, float], ...]  # (time_s, x_m, y_m), oldest first

    def __post_init__(self) -> None:
        layers = self.graph.layers
        sizes = (size for layer in layers for size in (layer.weight_bytes, layer.output_bytes))
        if max(self.graph.input_bytes, *sizes) > MAX_BODY_BYTES:
            raise ValueError(f"a layer of {self.graph.model} exceeds {MAX_BODY_BYTES} bytes")
        if min(layer.multiply_adds for layer in layers) < 0:
            raise ValueError(f"a layer of {self.graph.model} computes less than nothing")
        weighty = [(i, layer.weight_bytes) for i, layer in enumerate(layers) if layer.weight_bytes]
        if sorted((ref.layer, ref.size_bytes) for ref in self.weights) != weighty:
            raise ValueError(f"the weights are not those of {self.graph.model}'s layers")
        times_s = self.client_s
        if len(times_s) != len(layers) or min(times_s) < 0 or not math.isfinite(sum(times_s)):
            raise ValueError(f"{self.graph.model}'s {len(layers)} layers cannot take such times")
        for position in self.trajectory:
            _check_position(*position)


class Registered(Message, frozen=True, tag="registered"):
    """The master knows the client."""


class Report(Message, frozen=True, tag="report"):
    """A client's position, sent every interval, and the goodput of its link, where it has one.

    Raises ValueError for a position that is not finite, or a rate that is not above 0.
    """

    time_s: float
    x_m: float
    y_m: float
    up_bps: float | None = None
    down_bps: float | None = None

    def __post_init__(self) -> None:
        _check_position(self.time_s, self.x_m, self.y_m)
        for rate_bps in (self.up_bps, self.down_bps):
            if rate_bps is not None and not 0 < rate_bps < math.inf:
                raise ValueError(f"no link carries {rate_bps} bit/s")


class Attach(Message, frozen=True, tag="attach"):
    """The client is now at this access point and asks for its plan, which repeats `number`.

    `image_at` is the server that had the client's image whole last, where servers start from one.
    """

    number: int
    access_point: str
    image_at: str | None = None


class PlanReply(Message, frozen=True, tag="plan"):
    """Which server executes for the client now, and the current partitioning plan with it.

    The server is mostly the access point's own; the policy decides it. It comes again, with the
    same number, when the plan has changed with the server's load or the link (section III.B.2).
    """

    number: int
    server: str
    on_server: tuple[bool, ...]  # where each layer shall run, (n_layers,)
    upload: tuple[int, ...]  # the server's layers with weights, most efficient first
    server_s: tuple[float, ...]  # estimated time of each layer on the server, (n_layers,)
    #: The client uploads nothing, and executes itself until the server has its image whole.
    from_image: bool = False


class Choose(Message, frozen=True, tag="choose"):
    """At which of these access points, nearest first, is the client answered soonest?

    `number` comes back with the choice.
    """

    number: int
    access_points: tuple[str, ...]


class Choice(Message, frozen=True, tag="choice"):
    """The access point that the client shall associate with."""

    number: int
    access_point: str


class LoadRequest(Message, frozen=True, tag="load_request"):
    """The master asks an edge server for its present load (section III.C.1)."""


class Load(Message, frozen=True, tag="load"):
    """The edge server's statistics; shares and temperature are NaN where nothing measures them.

    Raises ValueError for a count below 0, a share below 0 or above 1, an infinite temperature.
    """

    stats: ServerStats

    def __post_init__(self) -> None:
        stats = self.stats
        shares = stats.kernel_utilisation, stats.memory_utilisation
        if (
            min(stats.clients, stats.memory_used_bytes) < 0
            or any(share < 0 or share > 1 for share in shares)
            or math.isinf(stats.temperature_c)
        ):
            raise ValueError(f"no edge server has such a load: {stats}")


class Migrate(Message, frozen=True, tag="migrate"):
    """The master orders an edge server to send a client's layers, best first, to another.

    Layers that the server does not have yet are sent when they arrive, until `ends_s`; the
    receiver holds them until `until_s` (TTL). A server that is told to send to itself holds what it
    has. It sends at most `most_bps`; with `moves` it gives up what it has once that has arrived, as
    an image that follows its client. Raises ValueError for a rate that is not above 0.
    """

    client: str
    destination: str
    address: str
    layers: tuple[LayerRef, ...]
    ends_s: float
    until_s: float
    most_bps: float | None = None
    moves: bool = False

    def __post_init__(self) -> None:
        if self.most_bps is not None and not 0 < self.most_bps < math.inf:
            raise ValueError(f"nothing is sent at {self.most_bps} bit/s")


# Layers: client -> edge server (upload) and edge server -> edge server (migration)


class Wanted(Message, frozen=True, tag="wanted"):
    """The client's attachment: the layers that its plan wants at this server."""

    client: str
    layers: tuple[LayerRef, ...]


class MigrationOffer(Message, frozen=True, tag="offer"):
    """Another server offers a client's layers, to be held until `until_s` (TTL)."""

    client: str
    source: str
    layers: tuple[LayerRef, ...]
    until_s: float


class Holding(Message, frozen=True, tag="holding"):
    """How many leading bytes of each wanted or offered layer the server has, in that order."""

    present_bytes: tuple[int, ...]


class LayerPiece(Message, frozen=True, tag="layer"):
    """The body is a piece of the layer's bytes, from `offset_bytes` on."""

    digest: str
    offset_bytes: int


class Stored(Message, frozen=True, tag="stored"):
    """The server holds this layer, verified; also sent when it came by another way."""

    digest: str


# Queries: client <-> edge server


class Query(Message, frozen=True, tag="query"):
    """Execute layers `first` to `last` (inclusive) of the client's model: a segment of a query.

    The body holds the outputs of `producers` (layer indices, -1 for the query's input), ascending,
    as raw bytes whose shapes the DNN profile tells. What else the layers read, the server has kept
    since an earlier segment of this query.
    """

    client: str
    query: int
    first: int
    last: int
    producers: tuple[int, ...]
    returns: tuple[int, ...]  # whose outputs the answer shall hold, ascending
    keeps: tuple[int, ...]  # what the server shall hold for later segments, and nothing else
    input_key: int  # which of the client's distinct inputs this is
    execute: bool  # have it executed in full, where the answer is replayed


class Answer(Message, frozen=True, tag="answer"):
    """The body holds what the query `returns`; `late_s` is the time beyond the device's.

    The last `read_bytes` of the query's body came in `read_s`, which tells the uplink's goodput.
    Raises ValueError where that cannot be.
    """

    query: int
    late_s: float
    read_bytes: int = 0
    read_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.read_bytes <= MAX_BODY_BYTES or not 0 <= self.read_s < math.inf:
            raise ValueError(f"{self.read_bytes} bytes do not come in {self.read_s} s")


class Refused(Message, frozen=True, tag="refused"):
    """The server cannot execute this query; the client does it itself."""

    query: int
    reason: str


_Clients = Register | Registered | Report | Attach | PlanReply | Choose | Choice
_Servers = EdgeHello | LoadRequest | Load | Migrate
_Layers = Wanted | MigrationOffer | Holding | LayerPiece | Stored
_Queries = Query | Answer | Refused
AnyMessage = _Clients | _Servers | _Layers | _Queries


def _check_position(time_s: float, x_m: float, y_m: float) -> None:
    if not all(map(math.isfinite, (time_s, x_m, y_m))):
        raise ValueError(f"nobody is at ({x_m}, {y_m}) at {time_s} s")
