"""The walk from one edge server to the next as emulated runs, and what they measured.

Access points stand in two cells, 86.6 m apart. While the client is attached to the first one, it is
within 50 m of the second, which therefore gets its layers as they are uploaded. When the upload is
over it walks on, to more than 50 m from the first one, so that nothing is sent back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import pandas as pd
from msgspec.structs import replace

from testbed.errors import TestbedError
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from testbed.settings.experiment import Experiment, Migration, Replay, Traces
from testbed.settings.units import TCP_GOODPUT_SHARE
from testbed.simulation.exact_attachment import AnsweredQuery, AttachmentResult
from testbed.simulation.offloading import offloading_of
from testbed.studies.single_client import Asked, one_by_one, stay
from traces.walk import write_walk

_POSITIONS_M = ((40.0, 0.0), (125.0, 0.0))  # the cells' centres: (0, 0) and (86.6, 0)
_SLOWER = 1.08  # an emulated upload over the simulated one, at most
_SLACK_S = 3.0


@dataclass(frozen=True)
class MeasuredStay:
    """What an emulated client did at one server; times are seconds since it attached there."""

    server: str
    started_s: float  # when that was, since the run's start
    answers: tuple[AnsweredQuery, ...]
    uploading_s: float
    uploaded_bytes: int
    wire_bytes: int  # of the upload, in Ethernet frames
    complete: bool
    present_bytes: int  # when it attached
    wanted_bytes: int
    fidelity: str  # of the whole run

    @property
    def first_query_s(self) -> float:
        """When the first query was raised."""
        return self.answers[0].raised_s if self.answers else 0.0

    @property
    def tcp_overhead(self) -> float:
        """Bytes on the wire beyond those of the layers, over the latter."""
        return self.wire_bytes / self.uploaded_bytes - 1 if self.uploaded_bytes else 0.0


def walk(
    asked: Asked, model: str, traces: Path, policy: str = "perdnn", part_mb: float | None = None
) -> Experiment:
    """Return a run: upload at the first server, then as much time at the second.

    The walk is written into the folder `traces`; `policy` says who gets layers, `part_mb` at most.
    """
    settings = asked.for_model(model)
    dwell_s = float(ceil(_SLOWER * expected(settings).finished_s + _SLACK_S))
    return walk_at(settings, traces, dwell_s, 2 * dwell_s, policy, part_mb)


def walk_at(
    settings: Experiment,
    traces: Path,
    moves_s: float,
    duration_s: float,
    policy: str,
    part_mb: float | None = None,
) -> Experiment:
    """Return a run in which the client moves to the second server at a time.

    It stays there until the end, after at most three times as long.
    """
    first, second = _POSITIONS_M
    write_walk(traces, (first, second, second), moves_s)
    return replace(
        settings,
        traces=Traces(path=str(traces.resolve()), interval_s=moves_s, test_people=1),
        replay=Replay(clients=1, start=0.0, duration_s=duration_s),
        migration=Migration(
            policy=policy, fraction_mb=part_mb, radius_m=50.0, predictor="stay", trajectory_length=1
        ),
    )


def expected(
    settings: Experiment, first_query_s: float = 0.0, present: Mapping[int, float] | None = None
) -> AttachmentResult:
    """Return what a simulation of the emulated links gives.

    Upload and queries share the uplink by halves, and a link carries 1,448 bytes in 1,514.
    """
    model = offloading_of(settings, TCP_GOODPUT_SHARE)
    more = {"present_bytes": present or {}, "gap_s": settings.model.query_gap_s}
    return stay(model, one_by_one(model.runs()), "shared", first_query_s, **more)


def completed(folder: RunFolder, names: Iterable[str]) -> dict[str, list[MeasuredStay]]:
    """Return what was measured in those runs that came to their end."""
    runs = {name: folder.path / name for name in names}
    return {
        name: measured(run)
        for name, run in runs.items()
        if (run / "summary.json").is_file()
        and RunFolder(run).read_json("manifest")["status"] == "complete"
    }


def measured(run: Path) -> list[MeasuredStay]:
    """Return what the client did at each server, in order; TestbedError without a run's tables."""
    transfers, queries = read_table(run, "transfers"), read_table(run, "queries")
    handovers = read_table(run, "handovers").sort_values("trace_s")
    uploads = transfers[transfers["cause"] == "upload"].set_index("destination")
    fidelity = str(RunFolder(run).read_json("summary")["fidelity"])
    stays = []
    for handover in handovers.itertuples():
        if handover.to_ap not in uploads.index:
            raise TestbedError(f"{run}: nothing was uploaded to {handover.to_ap}")
        upload = uploads.loc[handover.to_ap]
        started_s = float(upload["started_s"])
        later = handovers.loc[handovers["trace_s"] > handover.trace_s, "moved_s"]
        here = queries["raised_s"].between(started_s, later.min() if len(later) else float("inf"))
        stays.append(
            MeasuredStay(
                server=handover.to_ap,
                started_s=started_s,
                answers=tuple(_answers(queries[here], started_s)),
                uploading_s=float(upload["ended_s"]) - started_s,
                uploaded_bytes=int(upload["bytes"]),
                wire_bytes=int(upload["wire_bytes"]),
                complete=bool(upload["complete"]),
                present_bytes=int(handover.present_bytes),
                wanted_bytes=int(handover.wanted_bytes),
                fidelity=fidelity,
            )
        )
    return stays


def _answers(queries: pd.DataFrame, started_s: float) -> list[AnsweredQuery]:
    return [
        AnsweredQuery(
            raised_s=row.raised_s - started_s,
            answered_s=row.answered_s - started_s,
            layers_server=int(row.executed_layers_server),
            bytes_up=int(row.bytes_up),
            bytes_down=int(row.bytes_down),
            cold_start=bool(row.cold_start),
        )
        for row in queries.sort_values("raised_s").itertuples()
    ]
