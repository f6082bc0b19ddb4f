"""All figures of a run, drawn from its folder."""

from __future__ import annotations

from pathlib import Path

from testbed.analysis.figures.backhaul_figures import backhaul_causes, backhaul_heat_map
from testbed.analysis.figures.cell_map import cell_map
from testbed.analysis.figures.query_figures import hit_ratio, query_times
from testbed.analysis.figures.style import save, styled
from testbed.analysis.figures.traffic_figures import backhaul_map, migration_matrix, peaks_cdf
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables

CAPTIONS = {
    "query_times": "Query time over time. Vertical lines are handovers.",
    "hit_ratio": "Hits and misses, and the share of the wanted layers' bytes present on arrival.",
    "backhaul": "Backhaul rate of the most loaded edge servers over time.",
    "backhaul_causes": "Backhaul rate by cause, of the servers with the highest peak uplinks.",
    "peaks": "Peak rates of the edge servers: the share that has at most so much.",
    "migrations": "Who migrated how much to whom.",
    "links": "Load on the backhaul's links, by the switches' own counters.",
    "map": "Backhaul traffic of each cell's edge server, and the clients' paths from the dot on.",
}


@styled
def draw_figures(folder: RunFolder) -> list[Path]:
    """Draw a run's figures as PNG and SVG into its folder; return the PNGs in CAPTIONS' order."""
    tables, schedule = read_tables(folder.path), folder.read_schedule()
    backhaul, duration_s = tables["backhaul"], schedule.duration_s
    switch_ports = folder.read_json("manifest").get("switch_ports") or ()  # counters at the end
    figures = {
        "query_times": query_times(tables["queries"], tables["handovers"], duration_s),
        "hit_ratio": hit_ratio(tables["handovers"]),
        "backhaul": backhaul_heat_map(backhaul, schedule.interval_s, duration_s),
        "backhaul_causes": backhaul_causes(backhaul, schedule.interval_s, duration_s),
        "peaks": peaks_cdf(backhaul, [each.name for each in schedule.access_points]),
        "migrations": migration_matrix(tables["transfers"]),
        "links": backhaul_map(switch_ports, schedule),
        "map": cell_map(backhaul, schedule),
    }
    return [save(figures[name], folder.figures, name) for name in CAPTIONS]
