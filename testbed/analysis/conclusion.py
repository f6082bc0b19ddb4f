"""From a run's tables to its summary, figures and report, whichever engine made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.executions import with_executions
from testbed.analysis.figures.run_figures import draw_figures
from testbed.analysis.html_report import write_report
from testbed.analysis.summary import Tables, summarise
from testbed.runs.folder import RunFolder
from testbed.runs.records import has_table, read_table, read_tables, write_table
from testbed.values import Schedule


def conclude_run(
    folder: RunFolder, judge: Callable[[Tables], dict[str, Any]], *, figures: bool = True
) -> dict[str, Any]:
    """Write fidelity, summary, figures and report of a run that has its tables; return the summary.

    `judge` makes fidelity.json of the tables. Figures and report take seconds, unless left out.
    """
    schedule = folder.read_schedule()
    predictions = with_actual_positions(read_table(folder.path, "predictions"), schedule)
    write_table(folder.path, "predictions", predictions)
    if has_table(folder.path, "executions"):
        queries = read_table(folder.path, "queries")
        queries = with_executions(queries, read_table(folder.path, "executions"))
        write_table(folder.path, "queries", queries)
    tables = read_tables(folder.path)
    fidelity = judge(tables)
    folder.write_json("fidelity", fidelity)
    servers = [access_point.name for access_point in schedule.access_points]
    summary = summarise(tables, servers, fidelity["verdict"])
    folder.write_json("summary", summary)
    if figures:
        draw_figures(folder)
        write_report(folder)
    return summary


def with_actual_positions(predictions: pd.DataFrame, schedule: Schedule) -> pd.DataFrame:
    """Add to each prediction where the client then was, and the distance between the two."""
    fixes = pd.DataFrame(
        [(fix.client, fix.time_s, fix.x_m, fix.y_m) for fix in schedule.fixes],
        columns=["client", "time_s", "actual_x_m", "actual_y_m"],
    ).astype({"time_s": float, "actual_x_m": float, "actual_y_m": float})
    interval_s = schedule.interval_s
    fixes["step"] = (fixes.pop("time_s") / interval_s).round().astype("int64") - 1
    known = predictions.drop(columns=["actual_x_m", "actual_y_m", "error_m"])
    steps = (known["time_s"] / interval_s).round().astype("int64")
    found = known.assign(step=steps).merge(fixes, on=["client", "step"], how="left")
    found["error_m"] = np.hypot(
        found["predicted_x_m"] - found["actual_x_m"], found["predicted_y_m"] - found["actual_y_m"]
    )
    return found.drop(columns="step")
