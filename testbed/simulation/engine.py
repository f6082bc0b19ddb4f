"""The second engine: an experiment in virtual time, from its settings to its run folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from testbed.analysis.conclusion import conclude_run
from testbed.analysis.summary import NOT_APPLICABLE, lines
from testbed.errors import EXIT_COMPLETE, EXIT_INTERRUPTED
from testbed.movement import Movement
from testbed.runs.folder import RunFolder
from testbed.runs.manifest import describe, now
from testbed.runs.records import write_table
from testbed.runs.warm_start import EMPTY, WarmStart
from testbed.settings.experiment import Experiment
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.foresight import clients_of
from testbed.simulation.links import paths_of
from testbed.simulation.offloading import offloading_of
from testbed.simulation.rows import COMPUTE, tables_of
from testbed.simulation.simulated_run import SimulatedRun, goodput
from testbed.values import Schedule

_PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "torch")
_VERDICT: dict[str, Any] = {
    "verdict": NOT_APPLICABLE,
    "reasons": ["simulated: virtual time waits for everything"],
}

#: Watches a run, and says after each step whether there shall be another.
Watch = AbstractContextManager[Callable[[float], bool]]


def execute(
    settings: Experiment,
    movement: Movement,
    folder: RunFolder,
    console: Console,
    begins: WarmStart | None = None,
) -> int:
    """Simulate an experiment, show progress and summary on a console; return the exit status.

    Ctrl-C ends the run early, with what was done until then; else as `simulate`.
    """
    watch = _watched(console, movement.schedule.duration_s)
    complete = simulate(settings, movement, folder, watch, begins=begins)
    for line in lines(folder.read_json("summary"), _VERDICT["reasons"], folder.path):
        console.print(line, highlight=False, soft_wrap=True)
    return EXIT_COMPLETE if complete else EXIT_INTERRUPTED


def simulate(
    settings: Experiment,
    movement: Movement,
    folder: RunFolder,
    watch: Watch,
    *,
    begins: WarmStart | None = None,
    figures: bool = True,
) -> bool:
    """Simulate an experiment and write all of its folder; return whether it came to its end.

    The folder has the schedule in it. `watch` is entered while virtual time passes; what it returns
    is told the time after each step, and says whether there shall be another. `begins` is how the
    run begins; `figures` says whether figures and report are made.
    """
    schedule = movement.schedule
    described = describe(settings, _PACKAGES) | {
        "traces": schedule.source,
        "interpolated_positions": schedule.interpolated,
        "compute": COMPUTE,
        "accelerator": "idle: servers have their devices' times whatever their load",
        "backhaul": settings.simulation.backhaul,
        "wireless_sharing": settings.simulation.sharing,
        "warm_start": EMPTY if begins is None else begins.described(),
    }
    folder.write_json("manifest", described)
    clients = clients_of(schedule)
    simulation = SimulatedRun(
        settings,
        offloading_of(settings),
        schedule.access_points,
        clients,
        movement.training.positions_m,
        carrier_of(settings, schedule),
        duration_s=schedule.duration_s,
        begins=begins,
    )
    with watch as goes_on:
        logs = simulation.run(goes_on)
    complete = simulation.ended_s >= schedule.duration_s
    tables = tables_of(simulation.world, clients, logs, goodput(settings))
    for name, table in tables.items():
        write_table(folder.path, name, table)
    described |= {
        "status": "complete" if complete else "interrupted",
        "simulated_s": simulation.ended_s,
        "end": now(),
    }
    folder.write_json("manifest", described)
    conclude_run(folder, lambda _: dict(_VERDICT), figures=figures)
    return complete


def carrier_of(settings: Experiment, schedule: Schedule) -> Carrier:
    """Return the backhaul that the settings ask for, among a schedule's access points."""
    if settings.simulation.backhaul == "unlimited":
        return Unlimited()
    paths = paths_of(settings, schedule)
    return Limited(paths, [rate_bps * goodput(settings) / 8 for rate_bps in paths.rates_bps])


@contextmanager
def _watched(console: Console, duration_s: float) -> Iterator[Callable[[float], bool]]:
    with _progress(console) as progress, _interruptible() as interrupted:
        task = progress.add_task("simulating", total=duration_s)

        def goes_on(time_s: float) -> bool:
            progress.update(task, completed=time_s)
            return not interrupted.is_set()

        yield goes_on
    reached_s = progress.tasks[task].completed
    if interrupted.is_set() and reached_s < duration_s:
        text = f"interrupted at {reached_s:g} of {duration_s:g} s; keeping what was done until then"
        console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def _interruptible() -> Iterator[Event]:
    """Have Ctrl-C set an event, so that what was done stays whole."""
    event = Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
