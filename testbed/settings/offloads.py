"""What is offloaded to which servers, and what is sent ahead."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from testbed.settings.section import Distance, NotNegative, Positive, Section

THIS_MACHINE = "this-machine"  # a device profile of that name is this machine's own


class Model(Section, frozen=True, kw_only=True):
    """The DNN that clients query, and the devices it runs on."""

    name: Annotated[
        str, Meta(description="inception, mobilenet, resnet or package.module:factory")
    ] = "inception"
    input_shape: Annotated[tuple[int, ...], Meta(description="shape of the query's input")] = (
        1,
        3,
        224,
        224,
    )
    client_device: Annotated[str, Meta(description="profile that times the clients")] = "odroid-xu4"
    server_device: Annotated[
        str,
        Meta(
            description="profile that times the edge servers (this-machine, on a GPU in mode real:"
            " it times itself)"
        ),
    ] = "titan-xp"
    planner: Annotated[
        Literal["minimum_cut", "path", "single_cut", "all_server", "all_client", "static"],
        Meta(
            description="where layers run: least latency of all, IONN's shortest path,"
            " NeuroSurgeon's one cut, all on one side, or a cut that is fixed"
        ),
    ] = "minimum_cut"
    static_cut: Annotated[
        str | None, Meta(description="planner static: the last layer that clients execute")
    ] = None
    query_gap_s: Annotated[NotNegative, Meta(description="from an answer to the next query")] = 0.5
    distinct_inputs: Annotated[
        int, Meta(ge=1, le=1000, description="inputs that a client cycles through")
    ] = 4
    frames: Annotated[
        str | None,
        Meta(
            description="folder of images that clients' cameras pan over (none: two photographs"
            " that scikit-learn ships)"
        ),
    ] = None


class Server(Section, frozen=True, kw_only=True):
    """An edge server's accelerator, and what the master asks about it."""

    accelerator: Annotated[
        Literal["modelled", "exclusive"],
        Meta(description="clients share it (contention model), or are served one at a time"),
    ] = "modelled"
    estimator: Annotated[
        Literal["slowdown", "forest", "ll", "ll_load"],
        Meta(
            description="layers' times at loaded servers: idle times a learnt slowdown, the paper's"
            " random forest, NeuroSurgeon's regressions by number of clients, the same with load"
        ),
    ] = "slowdown"
    load_wait_s: Annotated[
        NotNegative, Meta(description="how long the master waits for servers to tell their load")
    ] = 0.05
    cloud_round_trip_s: Annotated[
        NotNegative,
        Meta(
            description="policy cloud: to the cloud and back, beyond the backhaul (74 ms on average"
            " to the nearest site of a large one: Li et al., CloudCmp, IMC 2010)"
        ),
    ] = 0.074


class Migration(Section, frozen=True, kw_only=True):
    """Prediction and proactive migration (sections III.B to III.D)."""

    policy: Annotated[
        str,
        Meta(
            description="who gets layers: ionn, perdnn, visits, benefit, pull, routing, follow_me,"
            " popular, cloud, optimal or package.module:Class"
        ),
    ] = "perdnn"
    radius_m: Annotated[
        Distance, Meta(description="servers this near to the predicted position get layers")
    ] = 50.0
    ttl_intervals: Annotated[
        int, Meta(ge=1, description="intervals, and half a one, that offered layers are held")
    ] = 5
    fraction_mb: Annotated[
        Positive | None,
        Meta(description="migrate at most so many MB of a model at crowded servers"),
    ] = None
    crowded: Annotated[
        tuple[str, ...], Meta(description="servers that the fraction limits (empty: every server)")
    ] = ()
    retain_uploads: Annotated[
        bool, Meta(description="servers keep layers of clients that left")
    ] = False
    keep_after_leaving: Annotated[
        bool,
        Meta(description="servers keep layers of clients that left for the TTL, like an offer"),
    ] = False
    predictor: Annotated[
        str | None,
        Meta(
            description="mobility predictor: svr, svr-polynomial, svr-rbf, markov, rnn, visits,"
            " stay, velocity, ridge or package.module:Class (none: visits for the policies"
            " visits and benefit, else svr)"
        ),
    ] = None
    trajectory_length: Annotated[int, Meta(ge=1, le=100, description="positions it reads, n")] = 5

    def __post_init__(self) -> None:
        if self.retain_uploads and self.keep_after_leaving:
            raise ValueError(
                "keep_after_leaving holds layers for the TTL, retain_uploads for good; set one of"
                " them to false"
            )
