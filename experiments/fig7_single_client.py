"""Fig. 7: query time of a client that changes its edge server (section IV.A).

    python experiments/fig7_single_client.py
    sudo python experiments/fig7_single_client.py --engine emulate --model inception

The client uploads its model to a first server and then moves to a second one, which has got nothing
of the model in advance (the baseline IONN), a part of it, or all. The part is the paper's 12 MB (of
2^20 bytes) of Inception, and as great a share of the other models; --fraction names another size in
MB of 10^6 bytes. What the second server lacks is uploaded there, the most efficient layers first.

Simulated, the client moves when it raises its first query after the upload. The figure is that of
the settings' rates with upload and queries apart (`separate`); the tables also say what comes of a
`shared` uplink, and of the paper's rates, 35 * 2^20 bit/s (see `table2_throughput.py`). Emulated,
each amount is a run; what a simulation of the same links expects is drawn as a line beside it.
"""

from collections.abc import Sequence
from itertools import chain
from typing import get_args

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.analysis.figures.single_client_figure import Curve, Panel, draw_single_client
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.upload_order import fraction
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.exits import exit_with
from testbed.launch import machine_fit
from testbed.runs.series import Series
from testbed.settings.experiment import Experiment, Replay
from testbed.simulation.exact_attachment import AnsweredQuery, Sharing
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.studies.emulated_walk import MeasuredStay, completed, expected, walk
from testbed.studies.findings import Findings, Row
from testbed.studies.paper import FIG7_INCEPTION_MIGRATED_MB, MODELS, TABLE_1
from testbed.studies.single_client import MEBI, Asked, ask, one_by_one, stay, whole
from testbed.studies.single_client_tables import measured, simulated

EXPERIMENT = Experiment(
    name="fig7_single_client", engine="simulate", replay=Replay(clients=1, start=0.0)
)
AMOUNTS = ("nothing", "part", "all")
_NAMES = {"mobilenet": "MobileNet", "inception": "Inception", "resnet": "ResNet-50"}
_AFTERWARDS_S = 4.0  # what is shown after the second upload


def main() -> int:
    """Draw the figure with the engine that is asked for."""
    asked = ask(EXPERIMENT, MODELS, settable={"migration.fraction_mb"})
    return _simulated(asked) if asked.settings.engine == "simulate" else _emulated(asked)


def part_bytes(settings: Experiment, graph: LayerGraph) -> float:
    """Return how much of a model is migrated as its part."""
    if settings.migration.fraction_mb is not None:
        return settings.migration.fraction_mb * 1e6
    share = FIG7_INCEPTION_MIGRATED_MB / TABLE_1["inception"].size_mib
    if settings.model.name in TABLE_1:
        return share * TABLE_1[settings.model.name].size_mib * 2**20
    return share * float(graph.weight_bytes.sum())


# Simulated


def _simulated(asked: Asked) -> int:
    rows: list[Row] = []
    panels: list[Panel] = []
    for rate in (1.0, MEBI):
        for sharing in reversed(get_args(Sharing)):
            for name in asked.models:
                settings = asked.for_model(name)
                found, panel = _walk(settings, offloading_of(settings, rate), sharing)
                rows += found
                if rate == 1.0 and sharing == "separate":
                    panels.append(panel)
    folder = asked.folder()
    figure = draw_single_client(panels, folder.figures, EXPERIMENT.name, "separate")
    Findings(rows, simulated(rows), [figure]).deliver(folder, as_json=asked.json)
    return EXIT_COMPLETE


def _walk(settings: Experiment, model: Offloading, sharing: Sharing) -> tuple[list[Row], Panel]:
    """Let the client upload to the first server, and then see the second with each amount."""
    groups, gap_s = one_by_one(model.runs()), settings.model.query_gap_s
    first = stay(model, groups, sharing, 0.0, gap_s=gap_s)
    handover_s = min(a.raised_s for a in first.answers if a.raised_s >= first.finished_s)
    rows, curves = [], []
    for amount, layers in migrated(settings, model).items():
        more = {"present_bytes": whole(model.graph, [layers]), "gap_s": gap_s}
        shown_s = first.finished_s + _AFTERWARDS_S
        second = stay(model, groups, sharing, 0.0, duration_s=shown_s, **more)
        rows.append(
            {
                "model": settings.model.name,
                "engine": "simulate",
                "up_bps": model.costs.up_bps,
                "uplink": sharing,
                "migrated": amount,
                **_amount(model, layers),
                "handover_s": handover_s,
                "peak_s": _peak_s(second.answers),
                "uploading_s": second.finished_s,
                "hit_query_s": model.plan.latency_s,
                "local_query_s": model.plan.local_latency_s,
            }
        )
        curves.append(_curve(amount, second.answers, handover_s))
    before = [answer for answer in first.answers if answer.raised_s < handover_s]
    return with_speedup(rows), _panel(rows, _curve("before", before), handover_s, curves)


def migrated(settings: Experiment, model: Offloading) -> dict[str, tuple[int, ...]]:
    """Return the layers that the second server has in advance, by amount."""
    runs = model.runs()
    part = fraction(runs, model.graph, part_bytes(settings, model.graph))
    return {"nothing": (), "part": tuple(part), "all": tuple(chain.from_iterable(runs))}


def _amount(model: Offloading, layers: tuple[int, ...]) -> Row:
    count = int(sum(model.graph.weight_bytes[list(layers)]))
    share = count / max(1, model.plan.upload_bytes)
    return {"migrated_bytes": count, "migrated_share": share}


def _peak_s(answers: Sequence[AnsweredQuery]) -> float:
    return max((answer.latency_s for answer in answers), default=0.0)


def with_speedup(rows: list[Row]) -> list[Row]:
    """Add to a model's rows how many times lower the peak is than in the first one."""
    for row in rows:
        row["peak_speedup"] = rows[0]["peak_s"] / row["peak_s"]
    return rows


def _curve(
    amount: str, answers: Sequence[AnsweredQuery], since_s: float = 0.0, *, expected: bool = False
) -> Curve:
    raised_s = [since_s + answer.raised_s for answer in answers]
    return Curve(amount, raised_s, [answer.latency_s for answer in answers], expected)


def _panel(rows: list[Row], before: Curve, handover_s: float, curves: Sequence[Curve]) -> Panel:
    notes = [
        f"part: {row['migrated_bytes'] / 1e6:.1f} MB ({100 * row['migrated_share']:.0f} %), "
        f"peak {row['peak_speedup']:.2f}× lower"
        for row in rows
        if row["migrated"] == "part" and rows[0]["migrated"] == "nothing"
    ]
    name = str(rows[0]["model"])
    return Panel(_NAMES.get(name, name), before, handover_s, curves, "".join(notes))


# Emulated


def _emulated(asked: Asked) -> int:
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = asked.folder()
    runs = {}
    for model in asked.models:
        settings, traces = asked.for_model(model), folder.path / "traces" / model
        part_mb = part_bytes(settings, offloading_of(settings).graph) / 1e6
        runs[f"{model}-nothing"] = walk(asked, model, traces, "ionn")
        runs[f"{model}-part"] = walk(asked, model, traces, "perdnn", part_mb)
        runs[f"{model}-all"] = walk(asked, model, traces, "perdnn")
    status = Series(folder.path).run(runs)
    done = completed(folder, runs)
    rows: list[Row] = []
    panels: list[Panel] = []
    for model in asked.models:
        stays = {a: done[f"{model}-{a}"] for a in AMOUNTS if f"{model}-{a}" in done}
        if stays:
            found, panel = _measured_walk(asked.for_model(model), stays)
            rows += found
            panels.append(panel)
    figures = []
    if rows:
        figures = [draw_single_client(panels, folder.figures, EXPERIMENT.name, "shared")]
    Findings(rows, [measured(rows)] if rows else (), figures).deliver(folder, as_json=asked.json)
    return status


def _measured_walk(
    settings: Experiment, done: dict[str, list[MeasuredStay]]
) -> tuple[list[Row], Panel]:
    model = offloading_of(settings)
    layers = migrated(settings, model)
    rows, curves = [], []
    for amount, (first, second) in done.items():
        handover_s = second.started_s - first.started_s
        present = whole(model.graph, [layers[amount]])
        ideal = expected(settings, second.first_query_s, present)
        ends_s = second.answers[-1].raised_s
        likewise = [answer for answer in ideal.answers if answer.raised_s <= ends_s]
        rows.append(
            {
                "model": settings.model.name,
                "engine": "emulate",
                "up_bps": settings.wireless.up_bps,
                "uplink": "shared",
                "migrated": amount,
                **_amount(model, layers[amount]),
                "present_bytes": second.present_bytes,
                "handover_s": handover_s,
                "first_query_s": second.first_query_s,
                "peak_s": _peak_s(second.answers),
                "uploading_s": second.uploading_s,
                "simulated_peak_s": _peak_s(likewise),
                "simulated_uploading_s": ideal.finished_s,
                "upload_bytes": first.uploaded_bytes + second.uploaded_bytes,
                "upload_wire_bytes": first.wire_bytes + second.wire_bytes,
                "fidelity": second.fidelity,
            }
        )
        curves.append(_curve(amount, likewise, handover_s, expected=True))
        curves.append(_curve(amount, second.answers, handover_s))
    first, second = next(iter(done.values()))
    handover_s = second.started_s - first.started_s
    return with_speedup(rows), _panel(rows, _curve("before", first.answers), handover_s, curves)


if __name__ == "__main__":
    exit_with(main)
