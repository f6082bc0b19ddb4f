"""Fig. 10: fractional migration at crowded servers (section IV.B.5).

    python experiments/fig10_fractional.py
    python experiments/fig10_fractional.py --fractions 20,45.1
    sudo python experiments/fig10_fractional.py --engine emulate --fractions 12,45.1

Everyone who is tested walks from first to last position, with PerDNN at r = 100 m, as in Fig. 9.
The servers with the highest peak uplinks (5 to 7 % of all) are crowded: in a second run they send
and receive only the most efficient layers, up to so many megabytes of a model. What that saves is
the peak uplink of the most crowded server, what it costs are queries in the intervals after changes
of server. The paper's megabytes are MiB: 43 and 56 of them are 45.1 and 58.7 MB.

Means over splits of the people, with standard deviations. With `--engine emulate` one window is
emulated for each fraction, on real sockets, and traffic comes from the captures; the simulation of
the same window stands beside it.
"""

import argparse
from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
import paper
from _delivery import Row, deliver, means, say, spread
from _emulated_fractions import add_options, emulate, rows_of, settings_of
from _mobility import Movements, load, new_folder
from _simulated import (
    Choice,
    Walkers,
    choose,
    each_split,
    for_model,
    keep_splits,
    models_of,
    parser_of_models,
    peaks_mbps,
    simulate,
)
from msgspec.structs import replace

from testbed.analysis.crowding import most_crowded
from testbed.analysis.simulation_figures import draw_emulated_fractions, draw_fractions
from testbed.commands.output import print_table
from testbed.errors import ConfigurationError
from testbed.exits import exit_with

NAME = "fig10_fractional"
RADIUS_M = 100.0
MODELS = tuple(paper.FIG10)
FRACTIONS = "5,12,20,30,45.1,58.7,80"
FIGURES = (
    *("peak_uplink_mbps", "peak_downlink_mbps", "crowded_uplink_mbps", "queries", "hit_ratio"),
    *("queries_lost", "all_queries_lost", "migrated_gb"),
)


def main() -> int:
    """Simulate or emulate, print, draw."""
    given = ask()
    fractions_mb = parse_fractions(given.fractions)
    models = models_of(given)
    if not 0 < given.radius < 1e6:
        raise ConfigurationError(f"--radius {given.radius:g}: metres above 0")
    movements = load(given)
    if given.engine == "emulate":
        return on_sockets(given, movements, models, fractions_mb)
    folder = new_folder(given, NAME, movements)
    splits, status = keep_splits(folder, measure(movements, models, fractions_mb, given.radius))
    if splits.empty:
        return status
    rows = summarise(splits)
    deliver(folder, rows, given.json)
    figure = draw_fractions(folder.figures, rows, paper.FIG10)
    if not given.json:
        report(rows, movements, given.radius)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return status


def ask() -> argparse.Namespace:
    """Return the command line's settings."""
    made = parser_of_models(__doc__, NAME, MODELS)
    made.add_argument(
        "--fractions",
        default=FRACTIONS,
        metavar="MB,...",
        help="megabytes of a model that crowded servers migrate (default: %(default)s)",
    )
    made.add_argument(
        "--radius",
        type=float,
        default=RADIUS_M,
        metavar="M",
        help="r of the paper, metres (default: %(default)s)",
    )
    add_options(made)
    return made.parse_args()


def on_sockets(
    given: argparse.Namespace, movements: Movements, models: list[str], fractions_mb: list[float]
) -> int:
    """Emulate, print, draw."""
    if len(models) != 1:
        raise ConfigurationError("--engine emulate takes one model: give --models inception")
    settings = settings_of(given, movements.settings, models[0])
    folder = new_folder(given, NAME, movements)
    status = emulate(replace(settings, name=NAME), fractions_mb, folder)
    rows = list(rows_of(folder, fractions_mb, models[0]))
    if not rows:
        return status
    deliver(folder, rows, given.json)
    if not given.json:
        print_table(
            ("engine", "MB", "peak, Mbit/s", "crowded", "queries", "lost, %", "fidelity"),
            [
                (
                    row["engine"],
                    "all" if row["fraction_mb"] is None else f"{row['fraction_mb']:.1f}",
                    row["peak_uplink_mbps"],
                    row["crowded_uplink_mbps"],
                    row["queries"],
                    100 * row["queries_lost"],
                    row["fidelity"] if row["engine"] == "emulate" else "",
                )
                for row in rows
            ],
        )
    say(f"figure: {draw_emulated_fractions(folder.figures, rows, paper.FIG10)}")
    say(f"files: {folder.path}")
    return status


def parse_fractions(text: str) -> list[float]:
    """Return "20,45.1" as megabytes."""
    try:
        fractions_mb = sorted({float(part) for part in text.split(",")})
    except ValueError:
        fractions_mb = [0.0]
    if not all(0 < each < 1e6 for each in fractions_mb):
        raise ConfigurationError(f"--fractions {text}: megabytes above 0, such as 20,45.1")
    return fractions_mb


def measure(
    movements: Movements, models: list[str], fractions_mb: list[float], radius_m: float
) -> Iterator[Row]:
    """Yield the figures of each split, model and fraction; the whole model comes first."""
    for number, model, who in each_split(movements, models):
        for row in sweep(movements, who, model, fractions_mb, radius_m):
            yield {"split": number, "model": model} | row


def sweep(
    movements: Movements, who: Walkers, model: str, fractions_mb: list[float], radius_m: float
) -> Iterator[Row]:
    """Yield what comes of the whole model, and of each fraction of it at crowded servers."""
    settings, offloading = for_model(movements.settings, model)
    settings = choose(settings, Choice("", "perdnn", radius_m))
    names = [each.name for each in who.people.access_points]
    full = simulate(settings, offloading, who)
    if not full.queries_after:
        raise ConfigurationError("nobody changes servers: there is nothing to compare")
    crowded = most_crowded(full.backhaul, names)
    for fraction_mb in (None, *fractions_mb):
        migration = replace(settings.migration, fraction_mb=fraction_mb, crowded=tuple(crowded))
        outcome = (
            full
            if fraction_mb is None
            else simulate(replace(settings, migration=migration), offloading, who)
        )
        up_mbps, down_mbps, _ = peaks_mbps(outcome, who.people)
        at_crowded = outcome.backhaul[
            outcome.backhaul["server"].isin(crowded) & (outcome.backhaul["direction"] == "uplink")
        ]
        yield {
            "fraction_mb": fraction_mb,
            "crowded": len(crowded),
            "peak_uplink_mbps": up_mbps,
            "peak_downlink_mbps": down_mbps,
            "crowded_uplink_mbps": float(at_crowded["mbps"].max()) if len(at_crowded) else 0.0,
            "queries": outcome.queries_after,
            "queries_lost": 1 - outcome.queries_after / full.queries_after,
            "all_queries_lost": 1 - outcome.queries / full.queries,
            "hit_ratio": outcome.hit_ratio,
            "migrated_gb": outcome.migrated_bytes / 1e9,
        }


def summarise(splits: pd.DataFrame) -> list[Row]:
    """Return means and standard deviations by model and fraction; None is the whole model."""
    rows = []
    for (model, fraction_mb), figures in splits.groupby(
        ["model", "fraction_mb"], sort=False, dropna=False
    ):
        whole = pd.isna(fraction_mb)
        row: Row = {"model": model, "fraction_mb": None if whole else float(fraction_mb)}
        row |= {"splits": len(figures), "crowded": int(figures["crowded"].max())}
        row |= means(figures, FIGURES)
        rows.append(row)
    return rows


def report(rows: list[Row], movements: Movements, radius_m: float) -> None:
    """Print the table for people, and the paper's figures below."""
    print(
        f"Fig. 10 on {movements.name}: means of {rows[0]['splits']} split(s) of the people,"
        f" r = {radius_m:g} m, {rows[0]['crowded']} crowded servers.\nPeak uplinks of all servers"
        " and of the crowded ones; queries in intervals after changes of server"
    )
    print_table(
        (
            *("model", "MB", "peak, Mbit/s", "crowded"),
            *("queries", "lost, %", "hits, %"),
        ),
        [
            (
                row["model"],
                "all" if row["fraction_mb"] is None else f"{row['fraction_mb']:.1f}",
                spread(row["peak_uplink_mbps"], row["peak_uplink_mbps_sd"], 1),
                f"{row['crowded_uplink_mbps']:.0f}",
                f"{row['queries']:,.0f}",
                spread(row["queries_lost"], row["queries_lost_sd"], 100),
                f"{100 * row['hit_ratio']:.1f}",
            )
            for row in rows
        ],
    )
    for model, reported in paper.FIG10.items():
        print(
            f"The paper, {model}: from {reported.full_mbps} to {reported.fractional_mbps} Mbit/s"
            f" with {reported.migrated_mib} MiB, for {reported.queries_lost:.0%} of the queries"
        )


if __name__ == "__main__":
    exit_with(main)
