"""Fig. 10: fractional migration at crowded servers (section IV.B.5).

    python experiments/fig10_fractional.py
    python experiments/fig10_fractional.py --fractions 20,45.1
    sudo python experiments/fig10_fractional.py --engine emulate --fractions 12,45.1

Everyone who is tested walks from first to last position, with PerDNN at r = 100 m, as in Fig. 9.
The 5 to 7 % of the servers that send most are crowded: in a second run they send and receive only
the most efficient layers, up to so many megabytes of a model. What that saves is the peak uplink of
the most crowded server, what it costs are queries in the intervals after changes of server. The
paper's megabytes are MiB: 43 and 56 of them are 45.1 and 58.7 MB.

The paper chooses them "based on the uplink traffics at the peak time". That is read in two ways,
and both are shown: each server by its own peak, whenever that is; or all by what they sent in the
one interval in which the most crowded server had its peak.

Means over splits of the people, with standard deviations. With `--engine emulate` one window is
emulated for each fraction, on real sockets, and traffic comes from the captures; the simulation of
the same window stands beside it.
"""

import argparse
from collections.abc import Iterator, Sequence

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
from msgspec.structs import replace

from testbed.analysis.figures.simulation_figures import draw_emulated_fractions, draw_fractions
from testbed.analysis.traffic.crowding import busiest_interval, most_crowded
from testbed.checks import check
from testbed.errors import EXIT_MACHINE_UNFIT, ConfigurationError
from testbed.launch import machine_fit, new_folder
from testbed.settings.experiment import Compute, Experiment, Migration, Simulation, changed
from testbed.settings.options import Parser
from testbed.studies import paper
from testbed.studies.emulated_fractions import emulate, rows_of
from testbed.studies.findings import Column, Findings, Row, Table, means, percent, plain, spread_of
from testbed.studies.movements import Movements
from testbed.studies.study import WHOLE_TRACES, Context, Study, main, models_of, numbers
from testbed.studies.whole_traces import (
    PAPERS_NETWORK,
    Totals,
    Walkers,
    each_split,
    for_model,
    peaks_mbps,
    simulate,
)

PUBLISHED = {model: each._asdict() for model, each in paper.FIG10.items()}
FIGURES = (
    *("peak_uplink_mbps", "peak_downlink_mbps", "crowded_uplink_mbps", "queries", "hit_ratio"),
    *("queries_lost", "all_queries_lost", "migrated_gb", "peak_saved"),
)
OWN, THEN = "own peaks", "the peak's time"  # by which servers are crowded


def options(command_line: Parser) -> None:
    """Add the fractions."""
    usual = "5,12,20,30,45.1,58.7,80"
    text = "megabytes of a model that crowded servers migrate (default: %(default)s)"
    command_line.add_argument("--fractions", default=usual, metavar="MB,...", help=text)


def fractions_of(given: argparse.Namespace) -> list[float]:
    """Return "20,45.1" as megabytes."""
    what = "megabytes above 0, such as 20,45.1"
    return sorted(set(numbers("--fractions", given.fractions, what)))


def measure(context: Context) -> Iterator[Row]:
    """Yield the figures of each split, model and fraction; the whole model comes first."""
    for number, model, who in each_split(context):
        settings, offloading = for_model(context.settings, model)
        settings = replace(settings, simulation=PAPERS_NETWORK)
        names = [each.name for each in who.people.access_points]
        full = simulate(settings, offloading, who)
        if not full.queries_after:
            raise ConfigurationError("nobody changes servers: there is nothing to compare")
        busiest = busiest_interval(full.backhaul)
        at_peak = None if busiest is None else busiest[0]
        for crowded_by, interval in ((OWN, None), (THEN, at_peak)):
            crowded = most_crowded(full.backhaul, names, interval)
            for fraction_mb in (None, *fractions_of(context.given)):
                totals = full
                if fraction_mb is not None:
                    limits = {"fraction_mb": fraction_mb, "crowded": tuple(crowded)}
                    limited = {f"migration.{name}": value for name, value in limits.items()}
                    totals = simulate(changed(settings, limited), offloading, who)
                what = {"split": number, "model": model, "crowded_by": crowded_by}
                what |= {"fraction_mb": fraction_mb, "crowded": len(crowded)}
                yield what | figures_of(totals, full, who, crowded)


def figures_of(totals: Totals, full: Totals, who: Walkers, crowded: Sequence[str]) -> Row:
    """Return the figures of a run, beside those of the one with the whole model."""
    up_mbps, down_mbps, _ = peaks_mbps(totals, who.people)
    full_mbps = peaks_mbps(full, who.people)[0]
    sent = totals.backhaul[totals.backhaul["direction"] == "uplink"]
    at_crowded = sent.loc[sent["server"].isin(crowded), "mbps"]
    return {
        "peak_uplink_mbps": up_mbps,
        "peak_downlink_mbps": down_mbps,
        "crowded_uplink_mbps": float(at_crowded.max()) if len(at_crowded) else 0.0,
        "peak_saved": 1 - up_mbps / full_mbps if full_mbps else 0.0,
        "queries": totals.queries_after,
        "queries_lost": 1 - totals.queries_after / full.queries_after,
        "all_queries_lost": 1 - totals.queries / full.queries,
        "hit_ratio": totals.hit_ratio,
        "migrated_gb": totals.migrated_bytes / 1e9,
    }


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return means and deviations by model, choice and fraction; None is the whole model."""
    every = []
    groups = splits.groupby(["model", "crowded_by", "fraction_mb"], sort=False, dropna=False)
    for (model, crowded_by, fraction_mb), figures in groups:
        whole = pd.isna(fraction_mb)
        row: Row = {"model": model, "crowded_by": crowded_by}
        row |= {"fraction_mb": None if whole else float(fraction_mb), "splits": len(figures)}
        row |= {"crowded": int(figures["crowded"].max())}
        every.append(row | means(figures, FIGURES))
    rows, at_peak_time = ([each for each in every if each["crowded_by"] == w] for w in (OWN, THEN))
    figure = draw_fractions(context.folder.figures, rows, PUBLISHED)
    title = (
        f"Fig. 10 on {context.movements.name}: means of {rows[0]['splits']} split(s) of the people,"
        f" r = {context.settings.migration.radius_m:g} m."
        "\nPeak uplinks of all servers and of the crowded ones; queries in intervals after changes"
        " of server"
    )
    columns = (
        *(plain("model"), MEGABYTES, spread_of("peak, Mbit/s", "peak_uplink_mbps")),
        *(percent("saved, %", "peak_saved", 0), plain("crowded", "crowded_uplink_mbps", ".0f")),
        *(plain("queries", form=",.0f"), spread_of("lost, %", "queries_lost", 100)),
        percent("hits, %", "hit_ratio"),
    )
    tables = (
        Table(columns, chosen, "{crowded} servers, crowded by {crowded_by}".format(**chosen[0]))
        for chosen in (rows, at_peak_time)
        if chosen  # interrupted before
    )
    reported = (
        f"The paper, {model}: from {each.full_mbps} to {each.fractional_mbps} Mbit/s"
        f" ({each.saved:.0%} saved) with {each.migrated_mib} MiB, for"
        f" {each.queries_lost:.0%} of the queries"
        for model, each in paper.FIG10.items()
    )
    more = {"at_peak_time": at_peak_time}
    return Findings(rows, [title, *tables, *reported], [figure], more)


MEGABYTES = Column(
    "MB", lambda row: "all" if row["fraction_mb"] is None else f"{row['fraction_mb']:.1f}"
)


def on_sockets(
    experiment: Experiment, given: argparse.Namespace, movements: Movements
) -> int | None:
    """Emulate, print and draw where that is asked for."""
    if movements.settings.engine != "emulate":
        return None
    models, fractions_mb = models_of(given), fractions_of(given)
    if len(models) != 1:
        raise ConfigurationError("--engine emulate takes one model: give --models inception")
    settings = changed(movements.settings, {"model.name": models[0]})
    settings = check(replace(settings, simulation=Simulation(beside=True)), given.out)
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = new_folder(settings, given.out)
    status = emulate(settings, fractions_mb, folder)
    rows = list(rows_of(folder, fractions_mb, models[0]))
    if rows:
        columns = (
            *(plain("engine"), MEGABYTES, plain("peak, Mbit/s", "peak_uplink_mbps")),
            *(plain("crowded", "crowded_uplink_mbps"), plain("queries")),
            Column("lost, %", lambda row: 100 * row["queries_lost"]),
            Column("fidelity", lambda r: r["fidelity"] if r["engine"] == "emulate" else ""),
        )
        figure = draw_emulated_fractions(folder.figures, rows, PUBLISHED)
        Findings(rows, [Table(columns, rows)], [figure]).deliver(folder, as_json=given.json)
    return status


STUDY = Study(
    Experiment(
        name="fig10_fractional",
        engine="simulate",
        migration=Migration(policy="perdnn", radius_m=100),
        compute=Compute(mode="memo", tdf=2),
    ),
    measure,
    conclude,
    reads=(
        *(*WHOLE_TRACES, "model.distinct_inputs", "migration.radius_m", "engine"),
        *("replay.", "compute.", "backhaul."),
    ),
    models=tuple(paper.FIG10),
    options=options,
    check=fractions_of,
    instead=on_sockets,
)

if __name__ == "__main__":
    main(STUDY)
