"""Table II: how many queries a client has answered while its model is uploaded (section IV.A).

    python experiments/table2_throughput.py
    sudo python experiments/table2_throughput.py --engine emulate

*Miss*: the server has none of the client's layers; they are uploaded while queries run. *Hit*: it
has all of them, and queries are counted for as long as that upload takes. The client raises a query
0.5 s after the last answer, the first one 0.5 s after it attached, as if that had been an answer. A
query counts if it is answered before the upload ends.

Simulated, the table is printed for the settings' rates and for as many 2^20 bit/s: the paper's
uploading times are its models' bytes at 35 * 2^20 bit/s. In those times the queries' tensors take
nothing of the uplink (`separate`), where here they share it by halves (`shared`). The server can
execute a layer once it is there, or once its whole run is: the paper uploads "partitions", which
are runs of layers. ResNet's 14 comes near only so.

Emulated, a client walks from one server to the next, which gets the layers meanwhile.
"""

from typing import get_args

import _venv  # noqa: F401  continues under the project's interpreter; must come first
from _delivery import Row, deliver, say
from _emulated_walk import Measured, completed, expected, walk
from _single_client import (
    MEBI,
    Asked,
    ask,
    one_by_one,
    print_fixed,
    rate_text,
    remark,
    stay,
    whole,
)
from paper import MODELS, TABLE_2

from testbed.config import Experiment, Replay
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.exits import exit_with
from testbed.experiment import machine_fit
from testbed.series import Series
from testbed.simulation.attachment import Sharing, answered_by, raised_before
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.units import TCP_GOODPUT_SHARE

EXPERIMENT = Experiment(
    name="table2_throughput", engine="simulate", replay=Replay(clients=1, start=0.0)
)
USABLE = ("layer", "run")


def main() -> int:
    """Make the table with the engine that is asked for."""
    asked = ask(EXPERIMENT, MODELS)
    return _simulated(asked) if asked.settings.engine == "simulate" else _emulated(asked)


# Simulated


def _simulated(asked: Asked) -> int:
    rows: dict[str, list[Row]] = {sharing: [] for sharing in get_args(Sharing)}
    for rate in (1.0, MEBI):
        models = {model: offloading_of(asked.for_model(model), rate) for model in asked.models}
        gap_s = asked.settings.model.query_gap_s
        for sharing in get_args(Sharing):
            rows[sharing] += [
                _row(name, model, sharing, usable, gap_s)
                for usable in USABLE
                for name, model in models.items()
            ]
    folder = asked.folder()
    deliver(folder, rows["separate"], asked.json, with_shared_uplink=rows["shared"])
    if not asked.json:
        _print_simulated(rows["separate"], rows["shared"], asked.models)
    say(f"files: {folder.path}")
    return EXIT_COMPLETE


def _row(name: str, model: Offloading, sharing: Sharing, usable: str, gap_s: float) -> Row:
    groups = model.runs() if usable == "run" else one_by_one(model.runs())
    there = whole(model.graph, groups)

    def count(first_query_s: float) -> tuple[float, Row]:
        miss = stay(model, groups, sharing, first_query_s, gap_s=gap_s)
        ends_s = miss.finished_s
        hit = stay(
            model,
            groups,
            sharing,
            first_query_s,
            gap_s=gap_s,
            present_bytes=there,
            duration_s=ends_s,
        )
        counts = {"miss_queries": answered_by(miss.answers, ends_s)}
        counts |= {"hit_queries": answered_by(hit.answers, ends_s)}
        counts |= {"miss_raised": raised_before(miss.answers, ends_s)}
        counts |= {"hit_raised": raised_before(hit.answers, ends_s)}
        return ends_s, counts

    uploading_s, counts = count(gap_s)
    uploading_at_once_s, at_once = count(0.0)
    return {
        "model": name,
        "engine": "simulate",
        "up_bps": model.costs.up_bps,
        "down_bps": model.costs.down_bps,
        "uplink": sharing,
        "usable": usable,
        "uploading_s": uploading_s,
        **counts,
        "first_query_at_once": {"uploading_s": uploading_at_once_s, **at_once},
        "upload_bytes": model.plan.upload_bytes,
        "local_query_s": model.plan.local_latency_s,
        "hit_query_s": model.plan.latency_s,
    }


def _print_simulated(rows: list[Row], shared: list[Row], models: tuple[str, ...]) -> None:
    shown: list[tuple[object, ...]] = []
    for model in models:
        if model in TABLE_2:
            shown.append((model, "the paper", "", *TABLE_2[model]))
        shown += [
            (model, rate_text(row["up_bps"]), row["usable"], *_counts(row))
            for row in rows
            if row["model"] == model
        ]
    print_fixed(
        [("model", ""), ("uplink, bit/s", ""), ("usable", ""), *_COUNTS],
        shown,
        "Table II, simulated, uplink separate: queries answered",
    )
    remark(
        "usable: a layer can be executed once it is there, or once its whole run of layers is.\n"
        "separate: queries and upload do not share the uplink; shared: by halves, as emulated.\n"
    )
    print_fixed(
        [
            *(("model", ""), ("uplink", ""), ("usable", ""), ("first query", "")),
            *(("uploading, s", ".2f"), ("miss", ""), ("hit", "")),
        ],
        [
            (model, row["uplink"], row["usable"], when, *_answered_and_raised(counts))
            for model in models
            for row in (*rows, *shared)
            if row["model"] == model and row["up_bps"] == rows[-1]["up_bps"]
            for when, counts in (("after a gap", row), ("at once", row["first_query_at_once"]))
        ],
        f"Queries answered / raised, at {rate_text(rows[-1]['up_bps'])} bit/s",
    )
    remark(
        "answered by the upload's end / raised before it; the first query is raised a gap after\n"
        "the client attached, or at once."
    )


def _counts(row: Row) -> tuple[float, int, int]:
    return row["uploading_s"], row["miss_queries"], row["hit_queries"]


def _answered_and_raised(row: Row) -> tuple[float, str, str]:
    uploading_s, miss, hit = _counts(row)
    return uploading_s, f"{miss} / {row['miss_raised']}", f"{hit} / {row['hit_raised']}"


# Emulated


def _emulated(asked: Asked) -> int:
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = asked.folder()
    runs = {model: walk(asked, model, folder.path / "traces" / model) for model in asked.models}
    status = Series(folder.path).run(runs)
    done = completed(folder, runs)
    rows = [_measured_row(model, runs[model], stays) for model, stays in done.items()]
    deliver(folder, rows, asked.json)
    if rows and not asked.json:
        _print_measured(rows)
    say(f"files: {folder.path}")
    return status


def _measured_row(model: str, settings: Experiment, stays: list[Measured]) -> Row:
    miss, hit = stays
    expected_miss = expected(settings, miss.first_query_s)
    uploading_s = expected_miss.finished_s
    ideal = offloading_of(settings)
    expected_hit = expected(settings, hit.first_query_s, whole(ideal.graph, ideal.runs()))
    return {
        "model": model,
        "engine": "emulate",
        "up_bps": settings.wireless.up_bps,
        "down_bps": settings.wireless.down_bps,
        "uplink": "shared",
        "usable": "layer",
        "uploading_s": miss.uploading_s,
        "miss_queries": answered_by(miss.answers, miss.uploading_s),
        "hit_queries": answered_by(hit.answers, miss.uploading_s),
        "miss_raised": raised_before(miss.answers, miss.uploading_s),
        "hit_raised": raised_before(hit.answers, miss.uploading_s),
        "miss_first_query_s": miss.first_query_s,
        "hit_first_query_s": hit.first_query_s,
        "hit_present_share": hit.present_bytes / hit.wanted_bytes,
        "simulated_uploading_s": uploading_s,
        "simulated_miss_queries": answered_by(expected_miss.answers, uploading_s),
        "simulated_hit_queries": answered_by(expected_hit.answers, uploading_s),
        "upload_complete": miss.complete,
        "upload_bytes": miss.uploaded_bytes,
        "upload_wire_bytes": miss.wire_bytes,
        "tcp_overhead": miss.tcp_overhead,
        "bytes_over_rate_s": 8 * miss.uploaded_bytes / settings.wireless.up_bps,
        "wire_bytes_over_rate_s": 8 * miss.wire_bytes / settings.wireless.up_bps,
        "fidelity": miss.fidelity,
    }


def _print_measured(rows: list[Row]) -> None:
    shown: list[tuple[object, ...]] = []
    for row in rows:
        model, simulated = row["model"], {name: row[f"simulated_{name}"] for name in _COUNTED}
        if model in TABLE_2:
            shown.append((model, "the paper", *TABLE_2[model], ""))
        shown.append((model, "simulated", *_counts(simulated), ""))
        shown.append((model, "emulated", *_counts(row), row["fidelity"]))
    print_fixed(
        [("model", ""), ("what", ""), *_COUNTS, ("fidelity", "")],
        shown,
        f"Table II, emulated, {rate_text(rows[0]['up_bps'])} bit/s, uplink shared: "
        "queries answered during the upload",
    )
    print_fixed(
        [("model", ""), *((part, ".2f") for part in _PARTS)],
        [_parts(row) for row in rows],
        "\nWhat the upload takes, s, and the bytes that TCP, IP and Ethernet add to the layers'",
    )


_COUNTED = ("uploading_s", "miss_queries", "hit_queries")
_COUNTS = (("uploading, s", ".2f"), ("miss", "d"), ("hit", "d"))
_PARTS = ("bytes / rate", "+ headers", "+ queries", "+ rest", "= uploading", "TCP, %")


def _parts(row: Row) -> tuple[object, ...]:
    """Bytes at the rate; headers; what the queries take of the uplink; and what is left."""
    bytes_s, frames_s = row["bytes_over_rate_s"], row["wire_bytes_over_rate_s"]
    queries_s = row["simulated_uploading_s"] - bytes_s / TCP_GOODPUT_SHARE
    rest_s = row["uploading_s"] - frames_s - queries_s
    parts = (bytes_s, frames_s - bytes_s, queries_s, rest_s, row["uploading_s"])
    return row["model"], *parts, 100 * row["tcp_overhead"]


if __name__ == "__main__":
    exit_with(main)
