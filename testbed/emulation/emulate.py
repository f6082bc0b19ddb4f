"""An emulated experiment from its run folder to its report, as the first process of a sandbox."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from testbed.analysis.summary import executed_lines, lines, print_summary
from testbed.emulation.beside import compare_with_simulator
from testbed.emulation.closing import conclude, give_to_user
from testbed.emulation.emulated_run import EmulatedRun
from testbed.emulation.outcome import describe, manifest_of
from testbed.emulation.sandbox.sandbox import scratch_folder
from testbed.errors import EXIT_COMPLETE, EXIT_INTERRUPTED, TestbedError
from testbed.runs.folder import RunFolder
from testbed.runs.manifest import now
from testbed.runs.warm_start import EMPTY
from testbed.settings.experiment import Experiment, from_dict

_log = logging.getLogger(__name__)


def emulate(run_folder: str, *options: str) -> int:
    """Emulate the experiment that a run folder describes; return the exit status."""
    folder = RunFolder(Path(run_folder))
    line = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(filename=folder.log, format=line, level=logging.INFO)
    logging.raiseExceptions = False  # where the disk is full, the log is no place to say so
    console = Console(stderr=True)
    settings = from_dict(folder.read_json("config"))
    described = describe(settings)
    folder.write_json("manifest", described)
    try:
        status = _run(settings, described, folder, console, "--cli" in options)
        if "--json" in options:
            print_summary(folder)
        return status
    except (OSError, TestbedError) as error:  # in writing what comes after the run
        _tell_failure(console, f"{error}; recorded: {folder.path}")
        return error.exit_status if isinstance(error, TestbedError) else 1
    finally:
        give_to_user(folder.path)


def _run(
    settings: Experiment, described: dict[str, Any], folder: RunFolder, console: Console, cli: bool
) -> int:
    schedule = folder.read_schedule()
    described["traces"] = schedule.source
    begins = folder.read_warm_start()
    described["warm_start"] = EMPTY if begins is None else begins.described()
    if begins is not None:
        console.print(f"warm start: {begins.described()}", highlight=False, soft_wrap=True)
    described["interpolated_positions"] = schedule.interpolated
    run = EmulatedRun(settings, schedule, folder, scratch_folder(), console)
    try:
        asyncio.run(run.run(cli=cli))
        described["status"], status = "complete", EXIT_COMPLETE
    except (asyncio.CancelledError, KeyboardInterrupt):
        described["status"], status = "interrupted", EXIT_INTERRUPTED
        console.print("interrupted; keeping what was recorded", highlight=False)
    except TestbedError as error:
        described |= {"status": "failed", "reason": str(error)}
        status = error.exit_status
        _tell_failure(console, str(error))
    except Exception as error:
        described |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        status = 1
        _log.exception("the run failed")
        _tell_failure(console, f"see {folder.log}")
    described |= manifest_of(run.outcome) | {"end": now()}
    folder.write_json("manifest", described)
    if run.outcome.origin_unix_s:
        try:
            _report(folder, run, settings, console)
        except KeyboardInterrupt:
            console.print(f"interrupted; `testbed report {folder.path}` writes the report")
            return EXIT_INTERRUPTED
    return status


def _tell_failure(console: Console, reason: str) -> None:
    console.print(f"[red]failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)


def _report(folder: RunFolder, run: EmulatedRun, settings: Experiment, console: Console) -> None:
    summary = conclude(folder, run.outcome)
    fidelity = folder.read_json("fidelity")
    reasons = fidelity["reasons"]
    beside: list[str] = []
    if settings.simulation.beside and folder.read_json("manifest")["status"] == "complete":
        text = "simulating the same, also without migration (IONN) and with all layers everywhere"
        console.print(f"{text} (optimal) ...", highlight=False)
        try:
            beside = compare_with_simulator(folder, settings)
        except TestbedError as error:
            beside = [f"not compared with IONN and optimal: {error}"]
        except KeyboardInterrupt:
            beside = ["not compared with IONN and optimal: interrupted"]
    walked = f"people walked as in: {folder.read_schedule().source}"
    executed = executed_lines(folder.read_json("manifest"), fidelity)
    for line in (*beside, walked, *executed, *lines(summary, reasons, folder.path)):
        console.print(line, highlight=False, soft_wrap=True)
