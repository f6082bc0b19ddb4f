"""What clients did in virtual time as a run's tables (`testbed.runs.tables.TABLES`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd

from testbed.runs.tables import TABLES
from testbed.settings.units import TCP_SEGMENT_BYTES
from testbed.simulation.foresight import ClientPath
from testbed.simulation.log import AnswerGroup, Log
from testbed.simulation.world import World

COMPUTE = "profile"  # layers have the devices' times; nothing is computed


def tables_of(
    world: World, clients: Sequence[ClientPath], logs: Sequence[Log], goodput: float
) -> dict[str, pd.DataFrame]:
    """Return all tables of a run, of logs with details in the order of the clients.

    `goodput` is the share of a link's rate that layers get; headers are counted in the backhaul.
    """
    names = world.names
    rows: dict[str, list[Mapping[str, object]]] = {name: [] for name in TABLES}
    answers = []
    for client, log in zip(clients, logs, strict=True):
        rows["handovers"] += _handovers(world, names, client.name, log)
        if not world.policy.from_images:
            rows["transfers"] += _uploads(world, names, client.name, log, goodput)
        rows["transfers"] += _migrations(world, names, client.name, log, goodput)
        rows["predictions"] += _predictions(world, names, client, log)
        answers.append(_queries(names, client.name, log.answers))
    found = {
        name: pd.DataFrame(rows[name], columns=[column.name for column in columns])
        for name, columns in TABLES.items()
    }
    found["queries"] = pd.concat(answers, ignore_index=True).sort_values(
        "answered_s", kind="stable", ignore_index=True
    )
    found["backhaul"] = backhaul_of(world, logs, goodput)
    for name, by in (("handovers", "trace_s"), ("transfers", "ended_s"), ("predictions", "time_s")):
        found[name] = found[name].sort_values(by, kind="stable", ignore_index=True)
    return found


def _handovers(
    world: World, names: Sequence[str], client: str, log: Log
) -> Iterator[Mapping[str, object]]:
    for moved in log.handovers:
        at_s = world.step_s(moved.step)
        yield {
            "client": client,
            "from_ap": names[moved.source] if moved.source >= 0 else None,
            "to_ap": names[moved.destination],
            "trace_s": at_s,
            "moved_s": at_s,
            "routed_s": at_s,
            "first_byte_s": None,  # it takes no time to be heard
            "present_bytes": int(moved.present_bytes),
            "wanted_bytes": world.stream.size_bytes,
            "hit": moved.hit,
        }


#: Columns of `transfers` that only sockets have
_NO_SOCKETS = {"source_port": 0, "frame_bytes": 0, "unsent_bytes": 0}


def _uploads(
    world: World, names: Sequence[str], client: str, log: Log, goodput: float
) -> Iterator[Mapping[str, object]]:
    stream = world.stream
    for upload in log.uploads:
        sent_bytes = upload.to_bytes - upload.from_bytes
        yield {
            "client": client,
            "source": client,
            "destination": names[upload.server],
            "cause": "upload",
            "started_s": upload.since_s,
            "ended_s": upload.until_s,
            "layers": stream.whole_layers(upload.to_bytes) - stream.whole_layers(upload.from_bytes),
            "bytes": int(sent_bytes),
            **_NO_SOCKETS,
            "wire_bytes": int(sent_bytes / goodput),
            "skipped_bytes": int(upload.from_bytes),
            "complete": upload.to_bytes >= stream.size_bytes,
        }


def _migrations(
    world: World, names: Sequence[str], client: str, log: Log, goodput: float
) -> Iterator[Mapping[str, object]]:
    stream = world.stream
    for order in log.orders:
        arrived_bytes = order.arrived_bytes
        layers = stream.whole_layers(arrived_bytes) - stream.whole_layers(order.have_bytes)
        if order.image:  # all at once, with the last byte
            layers = len(stream.layers) if order.arrivals(stream.layer_ends_bytes) else 0
        yield {
            "client": client,
            "source": names[order.source],
            "destination": names[order.destination],
            "cause": "migration",
            "started_s": world.step_s(order.step),
            "ended_s": order.until_s,
            "layers": layers,
            "bytes": int(order.sent_bytes),
            **_NO_SOCKETS,
            "wire_bytes": int(order.sent_bytes / goodput),
            "skipped_bytes": int(min(order.have_bytes, order.want_bytes)),
            "complete": arrived_bytes >= order.want_bytes,
        }


def _predictions(
    world: World, names: Sequence[str], client: ClientPath, log: Log
) -> Iterator[Mapping[str, object]]:
    for step, (predicted_x_m, predicted_y_m), offered in log.offers:
        x_m, y_m = client.positions_m[step - client.first].tolist()
        yield {
            "client": client.name,
            "time_s": world.step_s(step),
            "current_ap": names[client.attached[step - client.enters]],
            "x_m": x_m,
            "y_m": y_m,
            "predicted_x_m": predicted_x_m,
            "predicted_y_m": predicted_y_m,
            "actual_x_m": None,
            "actual_y_m": None,
            "error_m": None,
            "offered": offered,
        }


def _queries(names: Sequence[str], client: str, answers: Sequence[AnswerGroup]) -> pd.DataFrame:
    """Return a row for each query; queries that are alike are written out."""
    number = [each.queries.number for each in answers]
    total = sum(number)
    within = np.arange(total) - np.repeat(np.cumsum([0, *number[:-1]])[: len(number)], number)

    def each(values: Sequence[object]) -> np.ndarray:
        return np.repeat(np.array(values, dtype=object), number)

    groups = [answer.queries for answer in answers]
    steps = [group.steps for group in groups]
    on_server = [sum(len(s.layers) for s in taken if s.on_server) for taken in steps]
    first_s = np.repeat(np.array([group.first_s for group in groups], dtype=float), number)
    period_s = np.repeat(np.array([group.period_s for group in groups], dtype=float), number)
    latency_s = np.repeat(np.array([group.latency_s for group in groups], dtype=float), number)
    raised_s = first_s + within * period_s
    columns = {
        "client": client,
        "query": np.arange(total),
        "raised_s": raised_s,
        "answered_s": raised_s + latency_s,
        "latency_s": latency_s,
        "edge": each(
            [
                names[answer.server] if count else None
                for answer, count in zip(answers, on_server, strict=True)
            ]
        ),
        "executed_layers_client": each(
            [sum(len(s.layers) for s in taken if not s.on_server) for taken in steps]
        ),
        "executed_layers_server": each(on_server),
        "bytes_up": each([sum(s.up_bytes for s in taken) for taken in steps]),
        "bytes_down": each([sum(s.down_bytes for s in taken) for taken in steps]),
        "cold_start": each([group.cold_start for group in groups]),
        "outcome": each(["remote" if count else "local" for count in on_server]),
        "compute": COMPUTE,
        "late_s": 0.0,
        "verified": None,
        "computed": None,
    }
    return pd.DataFrame(columns)[[column.name for column in TABLES["queries"]]]


def backhaul_of(world: World, logs: Sequence[Log], goodput: float) -> pd.DataFrame:
    """Return the table of the backhaul alone, also of logs without details."""
    names = world.names
    sent: dict[tuple[int, int, str, str], float] = defaultdict(float)

    def pass_on(step: int, source: int, destination: int, cause: str, count: float) -> None:
        if count:
            sent[source, step, "uplink", cause] += count
            sent[destination, step, "downlink", cause] += count

    for log in logs:
        for step, source, destination, count in log.sent:
            pass_on(step, source, destination, "migration", count)
        for routed in log.routed:
            step, place, server = routed.step, routed.access_point, routed.server
            pass_on(step, place, server, "query", routed.up_bytes)
            pass_on(step, server, place, "query", routed.down_bytes)
            pass_on(step, place, server, "upload", routed.uploaded_bytes)
    at_access_points = len(world.access_points)
    rows = [
        {
            "server": names[server],
            "interval": step,
            "direction": direction,
            "cause": cause,
            "bytes": int(count / goodput),
            "mbps": 8e-6 * count / goodput / (world.step_s(step + 1) - world.step_s(step)),
            "packets": ceil(count / TCP_SEGMENT_BYTES),
        }
        for (server, step, direction, cause), count in sorted(sent.items())
        if server < at_access_points or cause == "migration"  # from the cloud
    ]
    return pd.DataFrame(rows, columns=[column.name for column in TABLES["backhaul"]])
