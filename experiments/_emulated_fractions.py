"""Fig. 10 on real sockets: the same window emulated for each fraction, the simulator beside it.

The first run migrates whole models. Its most crowded servers, by their captured uplinks, migrate
only so many megabytes in each of the runs that follow. Everything is counted in a run's own tables,
of which the emulated one's traffic comes from the captures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from _delivery import Row, say
from msgspec.structs import replace

from testbed.analysis.crowding import crowded_servers
from testbed.analysis.summary import queries_after_changes
from testbed.config import Experiment, Migration, Model, Replay, Simulation
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.experiment import check, machine_fit
from testbed.records import read_table
from testbed.runfolder import RunFolder
from testbed.series import Series

WHOLE = "whole"
_SIMULATED = "simulated"


def add_options(made: argparse.ArgumentParser) -> None:
    """Add what only emulated runs have."""
    made.add_argument(
        "--engine",
        choices=("simulate", "emulate"),
        default="simulate",
        help="whole traces in virtual time, or one window on real sockets, which needs root and"
        " takes a run for each fraction (default: %(default)s)",
    )
    emulated = made.add_argument_group("with --engine emulate")
    emulated.add_argument(
        "--clients", type=int, default=8, help="clients that walk (default: %(default)s)"
    )
    emulated.add_argument(
        "--duration",
        type=float,
        default=300.0,
        metavar="S",
        help="emulated seconds of each run, which takes TDF times as long, and one for whole models"
        " comes first (default: %(default)s)",
    )
    emulated.add_argument(
        "--compute",
        default="memo",
        help="how layers are computed: real, memo, profile (default: %(default)s)",
    )
    emulated.add_argument(
        "--tdf",
        type=float,
        default=2.0,
        help="time dilation: everything goes on so many times more slowly (default: %(default)s)",
    )


def settings_of(given: argparse.Namespace, base: Experiment, model: str) -> Experiment:
    """Return the run with whole models; ConfigurationError for what cannot be run."""
    settings = replace(
        base,
        engine="emulate",
        replay=Replay(clients=given.clients, start="busiest", duration_s=given.duration),
        model=Model(name=model),
        migration=Migration(policy="perdnn", radius_m=given.radius),
        compute=replace(base.compute, mode=given.compute, tdf=given.tdf),
        simulation=Simulation(beside=True),
    )
    check(settings)
    return settings


def emulate(settings: Experiment, fractions_mb: Sequence[float], folder: RunFolder) -> int:
    """Run the whole model, then each fraction at the servers that were crowded; return the status.

    Runs lie in subfolders of `folder`; what has been completed stays when one fails.
    """
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    series = Series(folder.path, runs=1 + len(fractions_mb))
    status = series.run({WHOLE: settings})
    if status != EXIT_COMPLETE:
        return status
    crowded = tuple(crowded_servers(RunFolder(folder.path / WHOLE)))
    say(f"crowded: {', '.join(crowded)}")
    runs = {}
    for fraction_mb in fractions_mb:
        migration = replace(settings.migration, fraction_mb=fraction_mb, crowded=crowded)
        runs[name_of(fraction_mb)] = replace(settings, migration=migration)
    return series.run(runs)


def name_of(fraction_mb: float | None) -> str:
    """Return the name of a fraction's run."""
    return WHOLE if fraction_mb is None else f"{fraction_mb:g}MB"


def rows_of(folder: RunFolder, fractions_mb: Sequence[float], model: str) -> Iterator[Row]:
    """Yield the figures of each complete run, emulated and simulated; the whole model first."""
    whole: dict[str, int] = {}
    crowded: list[str] = []
    for fraction_mb in (None, *fractions_mb):
        run = folder.path / name_of(fraction_mb)
        if not (run / "summary.json").is_file():
            continue
        crowded = crowded or crowded_servers(RunFolder(run))
        for engine, path in (("emulate", run), ("simulate", run / _SIMULATED)):
            figures = _figures(path, crowded)
            first = whole.setdefault(engine, figures["queries"])
            yield {
                "model": model,
                "engine": engine,
                "fraction_mb": fraction_mb,
                "crowded": len(crowded),
                **figures,
                "queries_lost": 1 - figures["queries"] / first if first else 0.0,
                "fidelity": RunFolder(run).read_json("summary")["fidelity"],
            }


def _figures(run: Path, crowded: Sequence[str]) -> Row:
    """Return what migrations put on the uplinks, and the queries after changes of server."""
    backhaul = read_table(run, "backhaul")
    sent = backhaul[(backhaul["cause"] == "migration") & (backhaul["direction"] == "uplink")]
    rates = sent.groupby(["server", "interval"])["mbps"].sum()
    at_crowded = rates[rates.index.get_level_values("server").isin(crowded)]
    handovers, queries = read_table(run, "handovers"), read_table(run, "queries")
    return {
        "peak_uplink_mbps": float(rates.max()) if len(rates) else 0.0,
        "crowded_uplink_mbps": float(at_crowded.max()) if len(at_crowded) else 0.0,
        "queries": queries_after_changes(
            handovers, queries, RunFolder(run).read_schedule().interval_s
        ),
        "migrated_gb": float(sent["bytes"].sum()) / 1e9,
    }
