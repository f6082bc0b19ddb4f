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

from collections.abc import Iterator, Sequence
from typing import get_args

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.exits import exit_with
from testbed.launch import machine_fit
from testbed.runs.series import Series
from testbed.settings.experiment import Experiment, Replay
from testbed.settings.units import TCP_GOODPUT_SHARE
from testbed.simulation.exact_attachment import AnsweredQuery, Sharing, answered_by, raised_before
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.studies.emulated_walk import MeasuredStay, completed, expected, walk
from testbed.studies.findings import Column, Findings, Row, Table, plain
from testbed.studies.paper import MODELS, TABLE_2, Throughput
from testbed.studies.single_client import MEBI, Asked, ask, one_by_one, rate_text, stay, whole

EXPERIMENT = Experiment(
    name="table2_throughput", engine="simulate", replay=Replay(clients=1, start=0.0)
)
USABLE = ("layer", "run")
Answers = Sequence[AnsweredQuery]


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
    shown = _shown(rows["separate"], rows["shared"], asked.models)
    more = {"with_shared_uplink": rows["shared"]}
    Findings(rows["separate"], shown, more=more).deliver(folder, as_json=asked.json)
    return EXIT_COMPLETE


def _row(name: str, model: Offloading, sharing: Sharing, usable: str, gap_s: float) -> Row:
    groups = model.runs() if usable == "run" else one_by_one(model.runs())
    there = whole(model.graph, groups)

    def count(first_query_s: float) -> Row:
        miss = stay(model, groups, sharing, first_query_s, gap_s=gap_s)
        ends_s, till_then = miss.finished_s, {"present_bytes": there, "duration_s": miss.finished_s}
        hit = stay(model, groups, sharing, first_query_s, gap_s=gap_s, **till_then)
        return _counts(miss.answers, hit.answers, ends_s)

    return {
        "model": name,
        "engine": "simulate",
        "up_bps": model.costs.up_bps,
        "down_bps": model.costs.down_bps,
        "uplink": sharing,
        "usable": usable,
        **count(gap_s),
        "first_query_at_once": count(0.0),
        "upload_bytes": model.plan.upload_bytes,
        "local_query_s": model.plan.local_latency_s,
        "hit_query_s": model.plan.latency_s,
    }


def _counts(miss: Answers, hit: Answers, ends_s: float) -> Row:
    """Return what is answered by the end of an upload, and raised before it."""
    return {
        "uploading_s": ends_s,
        "miss_queries": answered_by(miss, ends_s),
        "hit_queries": answered_by(hit, ends_s),
        "miss_raised": raised_before(miss, ends_s),
        "hit_raised": raised_before(hit, ends_s),
    }


def _shown(rows: list[Row], shared: list[Row], models: tuple[str, ...]) -> Iterator[str | Table]:
    answered: list[Row] = []
    for model in models:
        own = [row | {"rate": rate_text(row["up_bps"])} for row in rows if row["model"] == model]
        answered += [*_of_paper(model), *own]
    columns = (plain("model"), plain("uplink, bit/s", "rate"), plain("usable"), *COUNTS)
    yield Table(columns, answered, "Table II, simulated, uplink separate: queries answered")
    yield (
        "usable: a layer can be executed once it is there, or once its whole run of layers is.\n"
        "separate: queries and upload do not share the uplink; shared: by halves, as emulated.\n"
    )
    raised = [
        row | counts | {"when": when}
        for model in models
        for row in (*rows, *shared)
        if row["model"] == model and row["up_bps"] == rows[-1]["up_bps"]
        for when, counts in (("after a gap", row), ("at once", row["first_query_at_once"]))
    ]
    yield Table(
        (
            *(plain("model"), plain("uplink"), plain("usable"), plain("first query", "when")),
            plain("uploading, s", "uploading_s", ".2f"),
            Column("miss", lambda row: f"{row['miss_queries']} / {row['miss_raised']}"),
            Column("hit", lambda row: f"{row['hit_queries']} / {row['hit_raised']}"),
        ),
        raised,
        f"Queries answered / raised, at {rate_text(rows[-1]['up_bps'])} bit/s",
    )
    yield (
        "answered by the upload's end / raised before it; the first query is raised a gap after\n"
        "the client attached, or at once."
    )


def _of_paper(model: str) -> list[Row]:
    """Return the paper's row of a model, if it has one."""
    reported = TABLE_2.get(model)
    what = {"model": model, "rate": "the paper", "what": "the paper", "usable": "", "fidelity": ""}
    return [] if reported is None else [what | reported._asdict()]


COUNTS = (
    plain("uploading, s", "uploading_s", ".2f"),
    *(plain("miss", "miss_queries", "d"), plain("hit", "hit_queries", "d")),
)


# Emulated


def _emulated(asked: Asked) -> int:
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = asked.folder()
    runs = {model: walk(asked, model, folder.path / "traces" / model) for model in asked.models}
    status = Series(folder.path).run(runs)
    done = completed(folder, runs)
    rows = [_measured_row(model, runs[model], stays) for model, stays in done.items()]
    Findings(rows, _measured(rows) if rows else ()).deliver(folder, as_json=asked.json)
    return status


def _measured_row(model: str, settings: Experiment, stays: list[MeasuredStay]) -> Row:
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
        **_counts(miss.answers, hit.answers, miss.uploading_s),
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


def _measured(rows: list[Row]) -> Iterator[Table]:
    counted: list[Row] = []
    for row in rows:
        counted += _of_paper(row["model"])
        simulated = {each: row[f"simulated_{each}"] for each in Throughput._fields}
        counted.append({"model": row["model"], "what": "simulated", "fidelity": ""} | simulated)
        counted.append(row | {"what": "emulated"})
    yield Table(
        (plain("model"), plain("what"), *COUNTS, plain("fidelity")),
        counted,
        f"Table II, emulated, {rate_text(rows[0]['up_bps'])} bit/s, uplink shared: "
        "queries answered during the upload",
    )
    yield Table(
        (plain("model"), *(plain(part, form=".2f") for part in _parts(rows[0]))),
        [row | _parts(row) for row in rows],
        "\nWhat the upload takes, s, and the bytes that TCP, IP and Ethernet add to the layers'",
    )


def _parts(row: Row) -> Row:
    """Bytes at the rate; headers; what the queries take of the uplink; and what is left."""
    bytes_s, frames_s = row["bytes_over_rate_s"], row["wire_bytes_over_rate_s"]
    queries_s = row["simulated_uploading_s"] - bytes_s / TCP_GOODPUT_SHARE
    return {
        "bytes / rate": bytes_s,
        "+ headers": frames_s - bytes_s,
        "+ queries": queries_s,
        "+ rest": row["uploading_s"] - frames_s - queries_s,
        "= uploading": row["uploading_s"],
        "TCP, %": 100 * row["tcp_overhead"],
    }


if __name__ == "__main__":
    exit_with(main)
