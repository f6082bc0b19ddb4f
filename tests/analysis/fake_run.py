"""A run folder as a run of eight clients would leave it, made up but plausible."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from testbed.analysis.summary import summarise
from testbed.runs.folder import RunFolder
from testbed.runs.records import RecordWriter, collect, read_tables, write_table
from testbed.values import AccessPoint, Fix, Handover, Schedule

DURATION_S, INTERVAL_S = 300.0, 30.0
MODEL_BYTES = 134_600_000


def access_points(columns: int, rows: int) -> tuple[AccessPoint, ...]:
    """Centres of hexagons with a pointed top and a circumradius of 50 m."""
    points = []
    for row in range(rows):
        for column in range(columns):
            x_m = (column + 0.5 * (row % 2)) * 50 * math.sqrt(3)
            points.append(AccessPoint(f"ap{len(points)}", x_m, row * 75.0))
    return tuple(points)


def make_schedule(clients: int, rng: np.random.Generator) -> Schedule:
    points = access_points(7, 6)
    centres = np.array([(each.x_m, each.y_m) for each in points])
    fixes, handovers = [], []
    for number in range(clients):
        client, here = f"client{number}", None
        place = rng.uniform((50, 50), (500, 330))
        heading = rng.uniform(0, 2 * np.pi)
        for step in range(-5, int(DURATION_S / INTERVAL_S) + 1):
            time_s = step * INTERVAL_S
            fixes.append(Fix(client, time_s, float(place[0]), float(place[1])))
            nearest = points[np.argmin(np.hypot(*(centres - place).T))].name
            if step >= 0 and nearest != here and time_s < DURATION_S:
                handovers.append(Handover(client, time_s, here, nearest))
                here = nearest
            heading += rng.normal(0, 0.5)
            step_m = rng.gamma(2, 14)
            place = place + step_m * np.array([np.cos(heading), np.sin(heading)])
            place = np.clip(place, 0, (560, 375))
    return Schedule(
        "kaist",
        36000.0,
        DURATION_S,
        INTERVAL_S,
        points,
        {f"client{number}": f"KAIST_30sec_{number:03d}" for number in range(clients)},
        tuple(sorted(fixes, key=lambda fix: fix.time_s)),
        tuple(sorted(handovers, key=lambda each: each.time_s)),
    )


def make_run(path: Path, clients: int = 8, seed: int = 3) -> RunFolder:
    rng = np.random.default_rng(seed)
    folder = RunFolder.at(path)
    schedule = make_schedule(clients, rng)
    folder.write_schedule(schedule)
    cold_until: dict[tuple[str, float], float] = {}
    with RecordWriter(path, "all") as writer:
        for move in schedule.handovers:
            hit = move.from_ap is not None and bool(rng.random() < 0.5)
            present = MODEL_BYTES if hit else int(MODEL_BYTES * rng.choice([0, 0.09, 0.6]))
            cold_until[move.client, move.time_s] = move.time_s + (
                0 if hit else 30 * (1 - present / MODEL_BYTES)
            )
            _write_handover(writer, move, hit, present if move.from_ap else 0, rng)
        for client in schedule.clients:
            _write_queries(writer, client, schedule, cold_until, rng)
        _write_predictions(writer, schedule, rng)
    collect(path)
    write_table(path, "backhaul", make_backhaul(schedule, rng))
    folder.write_json("config", {"model": "inception", "radius_m": 50.0, "policy": "perdnn"})
    folder.write_json(
        "manifest",
        {"engine": "emulate", "tdf": 1, "origin_unix_s": 1_700_000_000.5, "status": "complete"},
    )
    folder.write_json("fidelity", {"verdict": "good", "step_lateness_s": {"p99": 0.004}})
    servers = [each.name for each in schedule.access_points]
    folder.write_json("summary", summarise(read_tables(path), servers, "good"))
    return folder


def _write_handover(writer, move, hit, present, rng) -> None:
    moved_s = move.time_s + rng.uniform(0.01, 0.03)
    writer.append(
        "handovers",
        client=move.client,
        from_ap=move.from_ap,
        to_ap=move.to_ap,
        trace_s=move.time_s,
        moved_s=moved_s,
        routed_s=moved_s + 0.004,
        first_byte_s=moved_s + rng.uniform(0.02, 0.2),
        present_bytes=present,
        wanted_bytes=MODEL_BYTES,
        hit=hit,
    )
    if move.from_ap is None or not hit:
        writer.append("transfers", **_transfer(move, move.client, "upload", MODEL_BYTES - present))
    if move.from_ap is not None and present:
        writer.append("transfers", **_transfer(move, move.from_ap, "migration", present))


def _transfer(move: Handover, source: str, cause: str, size: int) -> dict:
    return {
        "client": move.client,
        "source": source,
        "destination": move.to_ap,
        "cause": cause,
        "started_s": move.time_s,
        "ended_s": move.time_s + 8 * size / 35e6,
        "layers": 200,
        "bytes": size,
        "source_port": 40_000,
        "frame_bytes": 900,
        "unsent_bytes": 0,
        "wire_bytes": size + 12_000,
        "skipped_bytes": MODEL_BYTES - size,
        "complete": True,
    }


def _write_queries(writer, client, schedule, cold_until, rng) -> None:
    time_s, query = 0.2, 0
    while time_s < DURATION_S - 3:
        attached = [m for m in schedule.handovers if m.client == client and m.time_s <= time_s]
        start_s = attached[-1].time_s
        warm_s = cold_until[client, start_s]
        cold = time_s < warm_s
        left = (warm_s - time_s) / max(warm_s - start_s, 1e-9)
        latency_s = (0.15 + 2.35 * left**2 if cold else 0.15) + abs(rng.normal(0, 0.02))
        edge = None if cold and left > 0.93 else attached[-1].to_ap
        writer.append(
            "queries",
            client=client,
            query=query,
            raised_s=time_s,
            answered_s=time_s + latency_s,
            latency_s=latency_s,
            edge=edge,
            executed_layers_client=312 if edge is None else 3,
            executed_layers_server=0 if edge is None else 309,
            bytes_up=0 if edge is None else 602_112,
            bytes_down=0 if edge is None else 87_364,
            cold_start=cold,
            outcome="local" if edge is None else "remote",
            compute="memo",
            late_s=0.001,
            verified=True if query % 20 == 0 else None,
            computed=query % 4 != 0,
        )
        time_s += latency_s + 0.5
        query += 1


def _write_predictions(writer, schedule, rng) -> None:
    for fix in schedule.fixes:
        if 0 <= fix.time_s < DURATION_S:
            error = rng.normal(0, 9, 2)
            writer.append(
                "predictions",
                client=fix.client,
                time_s=fix.time_s,
                current_ap="ap1",
                x_m=fix.x_m,
                y_m=fix.y_m,
                predicted_x_m=fix.x_m + error[0],
                predicted_y_m=fix.y_m + error[1],
                actual_x_m=fix.x_m,
                actual_y_m=fix.y_m,
                error_m=float(np.hypot(*error)),
                offered="ap2 ap3",
            )


def make_backhaul(schedule: Schedule, rng: np.random.Generator) -> pd.DataFrame:
    sizes = {"migration": 134e6, "query": 4e6, "upload": 2e6, "control": 4e5}
    rows = []
    for move in schedule.handovers:
        interval = int(move.time_s // INTERVAL_S)
        for cause, size in sizes.items():
            wire = int(size * rng.uniform(0.3, 1))
            ends = (("uplink", move.from_ap), ("downlink", move.to_ap))
            for direction, server in ends:
                if server is not None:
                    mbps = wire * 8 / INTERVAL_S / 1e6
                    rows.append((server, interval, direction, cause, wire, mbps, wire // 9000))
    columns = ["server", "interval", "direction", "cause", "bytes", "mbps", "packets"]
    keys = columns[:4]
    return pd.DataFrame(rows, columns=columns).groupby(keys, as_index=False).sum()
