"""Fig. 10 on real sockets: the same window emulated for each fraction, the simulator beside it.

The first run migrates whole models. Its most crowded servers, by their captured uplinks, migrate
only so many megabytes in each of the runs that follow. Everything is counted in a run's own tables,
of which the emulated one's traffic comes from the captures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from testbed.analysis.summary import queries_after_changes
from testbed.analysis.traffic.crowding import crowded_servers
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from testbed.settings.experiment import Experiment, changed
from testbed.studies.crowded_series import is_complete, run_series
from testbed.studies.findings import Row

WHOLE = "whole"
_SIMULATED = "simulated"


def emulate(settings: Experiment, fractions_mb: Sequence[float], folder: RunFolder) -> int:
    """Run the whole model, then each fraction at the crowded servers; return the exit status."""

    def fractions(crowded: tuple[str, ...]) -> dict[str, Experiment]:
        at: dict[str, object] = {"migration.crowded": crowded}
        return {
            name_of(each): changed(settings, at | {"migration.fraction_mb": each})
            for each in fractions_mb
        }

    return run_series(folder, WHOLE, settings, fractions)


def name_of(fraction_mb: float | None) -> str:
    """Return the name of a fraction's run."""
    return WHOLE if fraction_mb is None else f"{fraction_mb:g}MB"


def rows_of(folder: RunFolder, fractions_mb: Sequence[float], model: str) -> Iterator[Row]:
    """Yield the figures of each complete run, emulated and simulated; the whole model first."""
    whole: dict[str, int] = {}
    crowded: list[str] = []
    for fraction_mb in (None, *fractions_mb):
        if not is_complete(folder, name_of(fraction_mb)):
            continue
        run = folder.path / name_of(fraction_mb)
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
    interval_s = RunFolder(run).read_schedule().interval_s
    handovers, queries = read_table(run, "handovers"), read_table(run, "queries")
    return {
        "peak_uplink_mbps": float(rates.max()) if len(rates) else 0.0,
        "crowded_uplink_mbps": float(at_crowded.max()) if len(at_crowded) else 0.0,
        "queries": queries_after_changes(handovers, queries, interval_s),
        "migrated_gb": float(sent["bytes"].sum()) / 1e9,
    }
