"""A hybrid backhaul: fibre for crowded servers, wireless broadband for the others (section IV.B.4).

    python experiments/hybrid_backhaul.py
    python experiments/hybrid_backhaul.py --set backhaul.wireless_bps=50Mbps
    sudo python experiments/hybrid_backhaul.py --engine emulate --clients 8 --duration 300

The same movement three times: with fibre (1 Gbit/s) at every access point; with fibre at those that
were crowded then, the 7 % with the highest peak uplinks, and wireless links of 100 Mbit/s at the
others; and with wireless links everywhere. What fibre saves is told in queries answered in the
intervals after changes of server.
"""

from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
from msgspec.structs import replace

from testbed.analysis.summary import queries_after_changes
from testbed.analysis.traffic.crowding import CROWDED_SHARE, FULL_SHARE, peaks, with_full_links
from testbed.checks import check
from testbed.errors import EXIT_MACHINE_UNFIT, ConfigurationError
from testbed.exits import exit_with
from testbed.launch import machine_fit, movement_of, new_folder, parser
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from testbed.settings.experiment import Backhaul, Experiment, Migration, Model, Replay
from testbed.settings.options import with_options
from testbed.studies.crowded_series import is_complete, run_series
from testbed.studies.findings import Column, Findings, Row, Table, plain

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
    given = parser(EXPERIMENT).parse_args()
    settings = with_options(EXPERIMENT, given)
    if settings.backhaul.fibre:
        raise ConfigurationError("--fibre: here the crowded servers of the first run are on fibre")
    everywhere = replace(settings, backhaul=replace(settings.backhaul, wireless_bps=None))
    for variant in (everywhere, *others(settings, ()).values()):
        check(variant, given.out)
    movement = movement_of(everywhere)  # refused before a folder is made
    everywhere, settings = (
        replace(each, traces=movement.settings.traces) for each in (everywhere, settings)
    )
    if settings.engine == "emulate" and not machine_fit():
        return EXIT_MACHINE_UNFIT
    folder = new_folder(settings, given.out)
    status = run_series(folder, FIBRE, everywhere, lambda crowded: others(settings, crowded))
    rows = list(rows_of(folder, settings))
    if rows:
        Findings(rows, shown(rows, settings)).deliver(folder, as_json=given.json)
    return status


def others(settings: Experiment, crowded: tuple[str, ...]) -> dict[str, Experiment]:
    """Return the runs with wireless links, at all servers or at all but the crowded ones."""
    return {
        name: replace(settings, backhaul=replace(settings.backhaul, fibre=fibre))
        for name, fibre in ((HYBRID, crowded), (WIRELESS, ()))
    }


def rows_of(folder: RunFolder, settings: Experiment) -> list[Row]:
    """Return the figures of each complete run; the others are compared with the first."""
    rows: list[Row] = []
    for name in (FIBRE, HYBRID, WIRELESS):
        if not is_complete(folder, name):
            continue
        run = RunFolder(folder.path / name)
        schedule, summary = run.read_schedule(), run.read_json("summary")
        fibre = run.read_json("config")["backhaul"]["fibre"]
        servers = [each.name for each in schedule.access_points]
        peak = peaks(read_table(run.path, "backhaul"), servers)
        full = with_full_links(peak, settings.backhaul.wireless_bps or 0, fibre)
        handovers, raised = (read_table(run.path, name) for name in ("handovers", "queries"))
        queries = queries_after_changes(handovers, raised, schedule.interval_s)
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


def shown(rows: list[Row], settings: Experiment) -> Iterator[str | Table]:
    """Yield the table for people, and who needs fibre."""
    slow_mbps = (settings.backhaul.wireless_bps or 0) / 1e6
    yield Table(
        (
            plain("backhaul"),
            Column("on fibre", lambda row: f"{row['on_fibre']} of {row['servers']}"),
            Column(f"at {FULL_SHARE * slow_mbps:g} Mbit/s or more", lambda row: len(row["full"])),
            plain("peak, Mbit/s", "peak_uplink_mbps"),
            Column(
                "hits, %", lambda row: None if row["hit_ratio"] is None else 100 * row["hit_ratio"]
            ),
            *(plain("queries"), Column("lost, %", lambda row: 100 * row["queries_lost"])),
            plain("fidelity"),
        ),
        rows,
        f"Wireless links of {slow_mbps:g} Mbit/s; queries in intervals after changes of server",
    )
    if needed := rows[0]["full"]:
        more = f" and {len(needed) - SHOWN} more" if len(needed) > SHOWN else ""
        yield (
            f"On fibre are the {CROWDED_SHARE:.0%} of the servers with the highest peaks (section"
            f" IV.B.5). With fibre everywhere these sent or received {FULL_SHARE * 100:g} % and"
            f" more of a wireless link's rate: {', '.join(needed[:SHOWN])}{more}"
        )


if __name__ == "__main__":
    exit_with(main)
