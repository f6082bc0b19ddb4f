"""A session in closed form against the simulation from event to event."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from testbed.simulation.exact_attachment import (
    AnsweredQuery,
    AttachmentResult,
    Sharing,
    SimulatedAttachment,
    simulate,
)
from testbed.simulation.fluid.layer_stream import LayerStream
from testbed.simulation.fluid.uplink import Uplink
from testbed.simulation.offloading import Offloading
from testbed.simulation.session import Session
from tests.simulation.test_exact_attachment import chain, layers_of, some

SHARINGS = cast("tuple[Sharing, ...]", ("separate", "shared"))


def event_by_event(
    stream: LayerStream, present_bytes: float, settings: SimulatedAttachment
) -> AttachmentResult:
    """Return what comes of an attachment to a server that has a prefix of the upload."""
    weight_bytes = stream.offloading.graph.weight_bytes
    before, present = 0, {}
    for layer in stream.layers:
        present[layer] = min(float(weight_bytes[layer]), max(0.0, present_bytes - before))
        before += int(weight_bytes[layer])
    return simulate(stream.offloading, replace(settings, present_bytes=present))


def in_closed_form(
    stream: LayerStream, present_bytes: float, settings: SimulatedAttachment, looks_s: list[float]
) -> tuple[Session, list[float]]:
    """Return the same as a session, and what the server had at some moments meanwhile."""
    session = Session(
        stream,
        present_bytes=present_bytes,
        raise_s=settings.first_query_s,
        gap_s=settings.gap_s,
        sharing=settings.sharing,
    )
    seen = []
    for look_s in [*looks_s, settings.duration_s]:
        session.advance(look_s)
        seen.append(session.present_bytes(look_s))
    session.leave(settings.duration_s)
    return session, seen


def answers_of(session: Session) -> list[AnsweredQuery]:
    return [
        AnsweredQuery(
            raised_s=each.first_s + number * each.period_s,
            answered_s=each.first_s + number * each.period_s + each.latency_s,
            layers_server=sum(len(step.layers) for step in each.steps if step.on_server),
            bytes_up=sum(step.up_bytes for step in each.steps),
            bytes_down=sum(step.down_bytes for step in each.steps),
            cold_start=each.cold_start,
        )
        for each in session.queries
        for number in range(each.number)
    ]


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("seed", range(40))
def test_it_equals_the_simulation_from_event_to_event(seed: int, sharing: Sharing) -> None:
    offloading, rng = some(seed)
    stream = LayerStream(offloading, layers_of(offloading) if seed % 2 else offloading.runs())
    present_bytes = stream.size_bytes * rng.choice([0.0, rng.random(), 1.0])
    settings = SimulatedAttachment(
        duration_s=8 * stream.size_bytes / offloading.costs.up_bps * rng.uniform(0.2, 2),
        upload=[(layer,) for layer in stream.layers] if seed % 2 else offloading.runs(),
        sharing=sharing,
        gap_s=rng.choice([0.0, 0.02, 0.3]),
        first_query_s=rng.choice([0.0, 0.2 * rng.random()]),
    )
    looks_s = sorted(settings.duration_s * rng.random(4))
    stay = event_by_event(stream, present_bytes, settings)
    session, seen = in_closed_form(stream, present_bytes, settings, looks_s)
    found = answers_of(session)
    assert len(found) == len(stay.answers)
    assert sum(each.number for each in session.queries) == len(found)
    for one, other in zip(found, stay.answers, strict=True):
        assert (one.raised_s, one.answered_s) == pytest.approx(
            (other.raised_s, other.answered_s), abs=1e-9
        )
        assert replace(one, raised_s=0, answered_s=0) == replace(other, raised_s=0, answered_s=0)
    assert session.finished_s == pytest.approx(stay.finished_s, abs=1e-9)
    stored = session.growth.whole_layers(stream.layer_ends_bytes, settings.duration_s)
    stored_s = {each.end_bytes: each.time_s for each in stored}
    ends = dict(zip(stream.layer_ends_bytes, stream.layers, strict=True))
    assert stored_s == pytest.approx(
        {end: stay.stored_s[layer] for end, layer in ends.items() if stay.stored_s.get(layer)},
        abs=1e-9,
    )
    for look_s, bytes_then in zip([*looks_s, settings.duration_s], seen, strict=True):
        then = event_by_event(stream, present_bytes, replace(settings, duration_s=look_s))
        assert bytes_then == pytest.approx(sum(then.present_bytes.values()), rel=1e-9, abs=1e-3)


def test_queries_that_are_alike_are_counted_at_once() -> None:
    stream = LayerStream(chain(), [(0,), (1,)])
    session = Session(stream, gap_s=0.5)
    assert session.advance(1e6) > 500_000
    assert [each.number for each in session.queries][:1] == [1]  # 3 MB are there before the second
    assert len(session.queries) == 2


def test_a_server_that_has_everything_answers_at_full_speed_from_the_start() -> None:
    stream = LayerStream(chain(), [(0,), (1,)])
    session = Session(stream, present_bytes=stream.size_bytes, raise_s=2.0, gap_s=0.5)
    session.advance(10.0)
    (queries,) = session.queries
    assert not queries.cold_start
    assert queries.latency_s == pytest.approx(0.5 + 0.3 + 0.01)
    assert queries.number == 7  # from 2 s on, every 1.31 s


def test_the_next_server_hears_the_query_after_the_one_in_flight() -> None:
    stream = LayerStream(chain(), [(0,), (1,)])
    session = Session(stream, present_bytes=stream.size_bytes, gap_s=0.5)
    session.advance(0.3)
    session.leave(0.3)  # while the input is on its way
    assert session.raise_s == pytest.approx(0.81 + 0.5)


def test_queries_execute_in_one_way_until_a_group_of_layers_is_complete() -> None:
    stream = LayerStream(chain(), [(0,), (1,)])
    assert stream.size_bytes == 3_000_000
    found = [stream.execution(each) for each in (0, 999_999, 1_000_000, 3_000_000)]
    assert [each.until_bytes for each in found] == [1e6, 1e6, 3e6, 3e6]
    assert [stream.whole_layers(each) for each in (0, 1e6, 2.9e6, 3e6)] == [0, 1, 1, 2]
    assert found[0] is found[1]
    assert found[0].latency_s > found[2].latency_s > found[3].latency_s
    assert stream.bytes_of(()) == 0
    assert stream.bytes_of((0, 1)) == 3_000_000


def test_layers_that_are_no_prefix_of_the_upload_have_no_length() -> None:
    with pytest.raises(ValueError, match="no prefix"):
        LayerStream(chain(), [(0,), (1,)]).bytes_of((1,))


def test_a_model_that_is_not_offloaded_has_no_stream() -> None:
    offloading: Offloading = chain()
    stream = LayerStream(offloading, [])
    session = Session(stream, gap_s=1.0)
    assert session.finished_s == 0
    assert session.advance(10.0) == 3  # 3 s at the client, 1 s of gap
    assert np.isclose(session.raise_s, 12.0)


@pytest.mark.parametrize("missing", [2e-6, 1e-5, 3.0])
def test_an_upload_that_is_nearly_over_ends_late_in_a_run_too(missing: float) -> None:
    """What is left takes less time than two moments differ by, and takes it all the same."""
    uplink = Uplink(LayerStream(chain(), [(0,), (1,)]), shared=True, now_s=1e6, missing=missing)
    uplink.send(1000.0)
    assert uplink.missing == 0
    assert uplink.now_s == pytest.approx(1e6 + (1000.0 + missing) / 1e6, abs=1e-9)


def test_the_rest_of_a_query_shares_the_uplink_with_the_upload_to_the_next_server() -> None:
    """At 4 s 0.4 of its 0.5 MB are not sent; with half of the rate they take 0.8 s."""
    stream = LayerStream(chain(), [(0,), (1,)])
    session = Session(
        stream, present_bytes=stream.size_bytes, raise_s=3.9, gap_s=0.5, sharing="shared"
    )
    session.advance(4.0)
    uplink = session.leave(4.0, stream.size_bytes)
    assert uplink is not None
    assert uplink.growth.at(4.8) == pytest.approx(400_000)
    assert session.raise_s == pytest.approx(4.8 + 0.31 + 0.5)
    there = Session(
        stream, attached_s=4.0, raise_s=session.raise_s, gap_s=0.5, sharing="shared", uplink=uplink
    )
    there.advance(8.0)
    assert there.finished_s == pytest.approx(7.9)  # 3 MB, and 0.9 MB of two queries
