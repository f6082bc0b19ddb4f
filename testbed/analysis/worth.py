"""What migrating layers ahead was worth: the comparison that the paper makes (section IV.B.4).

On the same movement it sets beside a run the simulations of it without migration (IONN), where
every change of server is a cold start, and with all layers everywhere (optimal), where none is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis.summary import Tables, milliseconds, moves, queries_after_changes
from testbed.settings.units import format_size

WITHOUT, EVERYWHERE = "ionn", "optimal"  # the policies that bound what can be won


def worth(
    run: Tables,
    simulated: Mapping[str, Tables],
    own: str,
    summary: Mapping[str, Any],
    step_s: float,
) -> dict[str, Any]:
    """Return worth.json.

    Args:
        run: the run's tables.
        simulated: those of the simulations by policy, the run's own among them.
        own: the run's policy.
        summary: the run's.
        step_s: queries count that are raised within so many seconds after a change of server.
    """
    tables = {"run": run, "simulated": simulated[own]}
    tables |= {name: simulated[name] for name in (WITHOUT, EVERYWHERE)}
    answered = {
        name: queries_after_changes(each["handovers"], each["queries"], step_s)
        for name, each in tables.items()
    }
    most = answered[EVERYWHERE] - answered[WITHOUT]
    won = answered["run"] - answered[WITHOUT]
    return {
        "policy": own,
        "interval_s": step_s,
        "changes": len(moves(run["handovers"])),
        "queries_after_changes": answered,
        "won_share": won / most if most > 0 else None,
        "first_query_s": {name: first_query_s(each) for name, each in tables.items()},
        "migrated_bytes": summary["migrated_bytes"],
        "peak_uplink_mbps": summary["peak_uplink_mbps"],
    }


def first_query_s(tables: Tables) -> float | None:
    """Return the median time of the first queries after changes of server, in seconds."""
    moved = moves(tables["handovers"])[["client", "trace_s"]].sort_values("trace_s")
    queries = tables["queries"][["client", "raised_s", "latency_s"]].sort_values("raised_s")
    first = pd.merge_asof(
        moved, queries, left_on="trace_s", right_on="raised_s", by="client", direction="forward"
    )
    median = first["latency_s"].median()
    return None if pd.isna(median) else float(median)


def worth_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what the end of a run, and its report, tell first."""
    answered, first = found["queries_after_changes"], found["first_query_s"]
    share = found["won_share"]
    won = "nothing could be won" if share is None else f"{share:.0%} of what could be won"
    return [
        f"queries answered within {found['interval_s']:g} s of {found['changes']} changes of"
        f" server: IONN (nothing migrated) {answered[WITHOUT]}, this run {answered['run']}"
        f" (simulated: {answered['simulated']}), optimal (all layers everywhere)"
        f" {answered[EVERYWHERE]}: {won}",
        f"first query after a change, median: IONN {milliseconds(first[WITHOUT])}, this run"
        f" {milliseconds(first['run'])}, optimal {milliseconds(first[EVERYWHERE])}",
        f"moved for it: {format_size(found['migrated_bytes'])} of layers; the busiest server sent"
        f" {found['peak_uplink_mbps']:.0f} Mbit/s over an interval",
    ]
