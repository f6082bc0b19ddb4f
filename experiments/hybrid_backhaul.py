"""A hybrid backhaul: fibre for crowded servers, wireless broadband for the others (section IV.D).

    python experiments/hybrid_backhaul.py
    python experiments/hybrid_backhaul.py --set backhaul.wireless_bps=50Mbps
    sudo python experiments/hybrid_backhaul.py --engine emulate --clients 8 --duration 300

The same movement three times: with fibre (1 Gbit/s) at every access point; with fibre at those that
were crowded then, the 7 % with the highest peak uplinks, and wireless links of 100 Mbit/s at the
others; and with wireless links everywhere. What fibre saves is told in queries answered in the
intervals after changes of server.
"""

import argparse
import sys

import _venv  # noqa: F401  continues under the project's interpreter; must come first
from _delivery import Row, deliver, say
from msgspec.structs import replace

from testbed.analysis.crowding import (
    CROWDED_SHARE,
    FULL_SHARE,
    crowded_servers,
    peaks,
    with_full_links,
)
from testbed.analysis.summary import queries_after_changes
from testbed.commands.output import add_json, print_table
from testbed.config import Backhaul, Experiment, Migration, Model, Replay
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT, ConfigurationError
from testbed.exits import exit_with
from testbed.experiment import check, machine_fit, new_folder, parser
from testbed.options import with_options
from testbed.records import read_table
from testbed.runfolder import RunFolder
from testbed.series import Series

FIBRE, HYBRID, WIRELESS = "fibre", "hybrid", "wireless"
SHOWN = 24

EXPERIMENT = Experiment(
    name="hybrid_backhaul",
    engine="simulate",
    replay=Replay(clients=31, duration_s="all"),
    model=Model(name="inception"),
    migration=Migration(policy="perdnn", radius_m=100),
    backhaul=Backhaul(wireless_bps=100e6),
    seed=1,
)


def main() -> int:
    """Run the three, print, and keep the rows."""
    given = ask()
    settings = with_options(EXPERIMENT, given)
    if settings.backhaul.fibre:
        raise ConfigurationError("--fibre: here the crowded servers of the first run are on fibre")
    for backhaul in variants(settings, ()).values():
        check(backhaul, given.out)
    if settings.engine == "emulate" and not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = new_folder(settings, given.out)
    series = Series(folder.path, runs=3)
    status = series.run({FIBRE: variants(settings, ())[FIBRE]})
    if status == EXIT_COMPLETE:
        crowded = tuple(crowded_servers(RunFolder(folder.path / FIBRE)))
        say(f"on fibre: {', '.join(crowded)}")
        runs = variants(settings, crowded)
        status = series.run({name: runs[name] for name in (HYBRID, WIRELESS)})
    rows = list(rows_of(folder, settings))
    if not rows:
        return status
    deliver(folder, rows, given.json)
    if not given.json:
        report(rows, settings)
    say(f"files: {folder.path}")
    return status


def ask() -> argparse.Namespace:
    """Return the command line's settings."""
    made = parser(EXPERIMENT)
    made.description = sys.modules["__main__"].__doc__
    add_json(made)
    return made.parse_args()


def variants(settings: Experiment, crowded: tuple[str, ...]) -> dict[str, Experiment]:
    """Return the run with each backhaul."""
    backhauls = {
        FIBRE: replace(settings.backhaul, wireless_bps=None, fibre=()),
        HYBRID: replace(settings.backhaul, fibre=crowded),
        WIRELESS: replace(settings.backhaul, fibre=()),
    }
    return {name: replace(settings, backhaul=backhaul) for name, backhaul in backhauls.items()}


def rows_of(folder: RunFolder, settings: Experiment) -> list[Row]:
    """Return the figures of each complete run; the others are compared with the first."""
    rows: list[Row] = []
    for name in (FIBRE, HYBRID, WIRELESS):
        run = RunFolder(folder.path / name)
        if not (run.path / "summary.json").is_file():
            continue
        schedule, summary = run.read_schedule(), run.read_json("summary")
        fibre = run.read_json("config")["backhaul"]["fibre"]
        servers = [each.name for each in schedule.access_points]
        peak = peaks(read_table(run.path, "backhaul"), servers)
        full = with_full_links(peak, settings.backhaul.wireless_bps or 0, fibre)
        queries = queries_after_changes(
            read_table(run.path, "handovers"), read_table(run.path, "queries"), schedule.interval_s
        )
        first = rows[0]["queries"] if rows else queries
        rows.append(
            {
                "backhaul": name,
                "on_fibre": len(servers) if name == FIBRE else len(fibre),
                "servers": len(servers),
                "full": full,
                "peak_uplink_mbps": summary["peak_uplink_mbps"],
                "hit_ratio": summary["hit_ratio"],
                "migrated_gb": summary["migrated_bytes"] / 1e9,
                "queries": queries,
                "queries_lost": 1 - queries / first if first else 0.0,
                "fidelity": summary["fidelity"],
            }
        )
    return rows


def report(rows: list[Row], settings: Experiment) -> None:
    """Print the table for people."""
    slow_mbps = (settings.backhaul.wireless_bps or 0) / 1e6
    print_table(
        (
            *("backhaul", "on fibre", f"at {FULL_SHARE * slow_mbps:g} Mbit/s or more"),
            *("peak, Mbit/s", "hits, %", "queries", "lost, %", "fidelity"),
        ),
        [
            (
                row["backhaul"],
                f"{row['on_fibre']} of {row['servers']}",
                len(row["full"]),
                row["peak_uplink_mbps"],
                None if row["hit_ratio"] is None else 100 * row["hit_ratio"],
                row["queries"],
                100 * row["queries_lost"],
                row["fidelity"],
            )
            for row in rows
        ],
        title=f"Wireless links of {slow_mbps:g} Mbit/s; queries in intervals after changes of"
        " server",
    )
    if needed := rows[0]["full"]:
        more = f" and {len(needed) - SHOWN} more" if len(needed) > SHOWN else ""
        print(
            f"On fibre are the {CROWDED_SHARE:.0%} of the servers with the highest peaks (section"
            f" IV.B.5). With fibre everywhere these sent or received {FULL_SHARE * 100:g} % and"
            f" more of a wireless link's rate: {', '.join(needed[:SHOWN])}{more}"
        )


if __name__ == "__main__":
    exit_with(main)
