"""An emulated run beside simulations of its own movement, as a part of its report.

They are those with its own policy, which say how far both engines agree, and those without
migration and with all layers everywhere, which say what migrating was worth.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from testbed.analysis.comparison import HIT_TOLERANCE, TOTAL_TOLERANCE, compare_runs
from testbed.analysis.figures.comparison_figure import draw_comparison
from testbed.analysis.html_report import write_report
from testbed.analysis.summary import Tables
from testbed.analysis.worth import EVERYWHERE, WITHOUT, worth, worth_lines
from testbed.movement import Movement, prepare
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables
from testbed.runs.warm_start import WarmStart
from testbed.settings.experiment import Experiment, changed, to_dict
from testbed.simulation.engine import simulate
from testbed.simulation.warm_start import warm_start

_OWN = "simulated"  # the run's own simulation, a folder in its own


def compare_with_simulator(folder: RunFolder, settings: Experiment) -> list[str]:
    """Simulate a complete run's movement; write worth.json and agreement.json.

    Returns what the comparison tells, in lines. Raises TestbedError if it cannot be simulated.
    """
    schedule = folder.read_schedule()
    movement = replace(prepare(settings), schedule=schedule)
    own = settings.migration.policy
    simulated: dict[str, Tables] = {}
    for policy in dict.fromkeys((own, WITHOUT, EVERYWHERE)):
        where = _OWN if policy == own else f"{_OWN}-{policy}"
        wanted = {"engine": "simulate", "simulation.beside": False}
        if policy != own:
            wanted["migration.policy"] = policy
        begins = folder.read_warm_start() if policy == own else None
        simulated[policy] = _simulate(
            changed(settings, wanted), movement, RunFolder.at(folder.path / where), begins
        )
    run = read_tables(folder.path)
    summary = folder.read_json("summary")
    found = worth(run, simulated, own, summary, schedule.interval_s)
    folder.write_json("worth", found)
    agreement = compare_runs(folder, RunFolder(folder.path / _OWN))
    draw_comparison(agreement.stays, folder.figures)
    folder.write_json("agreement", agreement.content())
    write_report(folder)
    trust = (
        f"beside its simulation: {agreement.agreeing_share:.0%} of the handovers agree within"
        f" {HIT_TOLERANCE:.0%} of the wanted bytes, totals within {TOTAL_TOLERANCE:.0%}"
    )
    if agreement.disagreements:
        trust = "; ".join(["beside its simulation", *agreement.disagreements])
    return [*worth_lines(found), trust]


def _simulate(
    settings: Experiment, movement: Movement, folder: RunFolder, begins: WarmStart | None
) -> Tables:
    """Simulate into a folder, without figures; return the tables."""
    folder.write_json("config", to_dict(settings))
    folder.write_schedule(movement.schedule)
    begins = begins or warm_start(settings, movement)
    watch = nullcontext(lambda time_s: True)
    simulate(settings, movement, folder, watch, begins=begins, figures=False)
    return read_tables(folder.path)
