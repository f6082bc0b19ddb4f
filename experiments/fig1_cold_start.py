"""Fig. 1: query time of a client that walks from one edge server to the next (section II.B).

    python experiments/fig1_cold_start.py
    sudo python experiments/fig1_cold_start.py --engine emulate

A client raises 40 queries, each half a second after the answer to the one before, and uploads
Inception meanwhile, the most efficient layers first. For the 21st query it is at another server,
which has nothing of the model: IONN uploads from scratch, and the query time soars once more.

Simulated, the client moves when it raises its 21st query; rows are of a `separate` uplink, where
queries and upload have all of it each, and of a `shared` one, half each. Emulated, the run has the
change of server between the 20th and the 21st query of a simulation with the same links, whose
queries are drawn beside those that were measured; which query came first after it is told.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.analysis.figures.single_client_figure import Series, draw_cold_starts
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.exits import exit_with
from testbed.launch import machine_fit
from testbed.runs import series
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from testbed.settings.experiment import Experiment, Replay
from testbed.settings.units import TCP_GOODPUT_SHARE
from testbed.simulation.exact_attachment import AnsweredQuery, Sharing
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.simulation.simulated_run import first_query_s
from testbed.studies.crowded_series import is_complete
from testbed.studies.emulated_walk import walk_at
from testbed.studies.findings import Column, Findings, Row, Table, plain
from testbed.studies.single_client import Asked, ask, one_by_one, rate_text, stay

EXPERIMENT = Experiment(
    name="fig1_cold_start", engine="simulate", replay=Replay(clients=1, start=0.0)
)
QUERIES = 40
AT_FIRST = 20  # of them at the first server
_SHOWN = (1, AT_FIRST, AT_FIRST + 1, QUERIES)
_SLACK_S = 5.0  # for an emulation that is slower than its simulation


def main() -> int:
    """Draw the figure with the engine that is asked for."""
    asked = ask(EXPERIMENT, ("inception",))
    return _simulated(asked) if asked.settings.engine == "simulate" else _emulated(asked)


def queries_of(
    model: Offloading, sharing: Sharing, gap_s: float, first_s: float = 0.0, then_s: float = 0.0
) -> list[tuple[float, AnsweredQuery]]:
    """Return when each query is raised, s since the client attached, and how it is answered.

    The first one is raised so long after the client attached to the first server, `first_s`, and
    the first one after the change `then_s` after it attached to the second.
    """
    groups, found = one_by_one(model.runs()), list[tuple[float, AnsweredQuery]]()
    # A query takes no longer than on the client alone, or where it shares the uplink twice that
    longest_s = AT_FIRST * (2 * model.plan.local_latency_s + gap_s) + first_s + gap_s
    moves_s = 0.0
    for number, after_s in ((AT_FIRST, first_s), (QUERIES - AT_FIRST, then_s)):
        answers = stay(model, groups, sharing, after_s, duration_s=longest_s, gap_s=gap_s).answers
        found += [(moves_s + each.raised_s, each) for each in answers[:number]]
        moves_s = found[-1][0] + found[-1][1].latency_s + gap_s - then_s
    return found


def _simulated(asked: Asked) -> int:
    rows: list[Row] = []
    for name in asked.models:
        settings = asked.for_model(name)
        model, gap_s = offloading_of(settings), settings.model.query_gap_s
        for uplink in get_args(Sharing):
            rows += [
                {
                    **_what(settings, "simulate", uplink, number),
                    "server": 1 if number <= AT_FIRST else 2,
                    "raised_s": raised_s,
                    "latency_s": answer.latency_s,
                    "layers_server": answer.layers_server,
                    "local_query_s": model.plan.local_latency_s,
                    "hit_query_s": model.plan.latency_s,
                }
                for number, (raised_s, answer) in enumerate(queries_of(model, uplink, gap_s), 1)
            ]
    folder = asked.folder()
    drawn = [_series(uplink, rows, uplink) for uplink in dict.fromkeys(r["uplink"] for r in rows)]
    figure = draw_cold_starts(drawn, AT_FIRST, folder.figures, EXPERIMENT.name)
    Findings(rows, [_table(rows, "simulated")], [figure]).deliver(folder, as_json=asked.json)
    return EXIT_COMPLETE


def _what(settings: Experiment, engine: str, uplink: str, number: int) -> Row:
    up_bps = settings.wireless.up_bps
    named = {"model": settings.model.name, "engine": engine, "up_bps": up_bps, "uplink": uplink}
    return named | {"query": number}


def _series(label: str, rows: Sequence[Row], uplink: str, figure: str = "latency_s") -> Series:
    own = [row for row in rows if row["uplink"] == uplink]
    return Series(label, [row["query"] for row in own], [row[figure] for row in own])


def _table(rows: Sequence[Row], how: str, *more: Column) -> Table:
    """Return the query times where Fig. 1 has its peaks and its ends, a line for each uplink."""
    lines = []
    for uplink in dict.fromkeys(row["uplink"] for row in rows):
        own = {row["query"]: row for row in rows if row["uplink"] == uplink}
        times_s = {f"q{number}": own[number]["latency_s"] for number in _SHOWN if number in own}
        change = min((n for n, row in own.items() if row["server"] == 2), default=None)
        lines.append(next(iter(own.values())) | times_s | {"change": change})
    columns = [plain("uplink"), Column("server changes at", lambda row: row["change"] or "-")]
    columns += [Column(f"query {number}, s", _seconds(f"q{number}")) for number in _SHOWN]
    columns += [
        Column("at the client, s", _seconds("local_query_s")),
        Column("all uploaded, s", _seconds("hit_query_s")),
    ]
    first = rows[0]
    title = f"Fig. 1, {how}: {first['model']}, IONN, {rate_text(first['up_bps'])} bit/s"
    return Table([*columns, *more], lines, title)


def _seconds(name: str) -> Callable[[Row], object]:
    return lambda row: f"{row[name]:.2f}" if name in row else "-"


# Emulated


def _emulated(asked: Asked) -> int:
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder, (name,) = asked.folder(), asked.models
    settings = asked.for_model(name)
    gap_s = settings.model.query_gap_s
    model = offloading_of(settings, TCP_GOODPUT_SHARE)
    # It moves in the middle of a gap: the machine may be that late or early
    ideal = queries_of(model, "shared", gap_s, first_query_s(settings, 0), gap_s / 2)
    answered_s = [raised_s + answer.latency_s for raised_s, answer in ideal]
    moves_s = round(answered_s[AT_FIRST - 1] + gap_s / 2, 2)
    ends_s = answered_s[-1] + _SLACK_S
    run = walk_at(settings, folder.path / "traces", moves_s, ends_s, "ionn")
    status = series.Series(folder.path).run({"run": run})
    rows = _measured(settings, folder.path / "run", ideal) if is_complete(folder, "run") else []
    shown, figures = [], []
    if rows:
        shown = [_table(rows, "emulated", plain("fidelity"))]
        drawn = [
            _series("measured", rows, "shared"),
            _series("simulated", rows, "shared", "simulated_latency_s"),
        ]
        change = min((row["query"] for row in rows if row["server"] == 2), default=QUERIES + 1)
        figures = [draw_cold_starts(drawn, change - 1, folder.figures, EXPERIMENT.name)]
    Findings(rows, shown, figures).deliver(folder, as_json=asked.json)
    return status


def _measured(
    settings: Experiment, run: Path, ideal: Sequence[tuple[float, AnsweredQuery]]
) -> list[Row]:
    """Return what became of each of the queries, beside what the simulation says of it."""
    queries = read_table(run, "queries").sort_values("raised_s")
    moved_s = float(read_table(run, "handovers")["moved_s"].max())
    fidelity = RunFolder(run).read_json("summary")["fidelity"]
    plan = offloading_of(settings).plan
    return [
        {
            **_what(settings, "emulate", "shared", number),
            "server": 1 if query.raised_s < moved_s else 2,
            "raised_s": query.raised_s,
            "latency_s": query.latency_s,
            "layers_server": int(query.executed_layers_server),
            "local_query_s": plan.local_latency_s,
            "hit_query_s": plan.latency_s,
            "simulated_latency_s": answer.latency_s,
            "fidelity": fidelity,
        }
        for number, (query, (_, answer)) in enumerate(
            zip(queries.itertuples(), ideal, strict=False), 1
        )
    ]


if __name__ == "__main__":
    exit_with(main)
