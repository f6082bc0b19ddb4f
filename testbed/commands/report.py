"""`testbed report`: computes a run's tables, figures and report again from what it recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from testbed.errors import EXIT_COMPLETE, ConfigurationError, TestbedError
from testbed.output import add_json, print_json
from testbed.runs.folder import RunFolder
from testbed.terminal import print_table

HELP = "rebuild the tables, figures and report of a run, also of one that was killed"
_CUT_OFF = (
    "the run was cut off: how late trace steps were and what the capture dropped is not known"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--omnetpp",
        action="store_true",
        help="write the run as OMNeT++ result files (.sca, .vec) too",
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Rebuild, and print the run's summary."""
    if not (given.run / "schedule.json").is_file():
        raise ConfigurationError(f"{given.run}: is no folder of a run: it has no schedule.json")
    folder = RunFolder(given.run)
    if _goes_on(folder):
        raise ConfigurationError(f"{given.run}: the run goes on; it writes its report at its end")
    try:
        summary = _rebuild_all(folder, omnetpp=given.omnetpp)
    except OSError as error:
        path = error.filename2 or error.filename or given.run
        raise ConfigurationError(f"{path}: cannot be read or written: {error.strerror}") from error
    if given.json:
        print_json(summary)
    else:
        print_table(("", ""), summary.items(), title=str(folder.report))
    return EXIT_COMPLETE


def _rebuild_all(folder: RunFolder, *, omnetpp: bool) -> dict[str, Any]:
    from testbed.analysis.omnetpp import write_omnetpp
    from testbed.emulation.closing import give_to_user

    summary = rebuild(folder)
    if omnetpp:
        for path in write_omnetpp(folder):
            sys.stderr.write(f"written: {path}\n")
        give_to_user(folder.path)
    return summary


def rebuild(folder: RunFolder) -> dict[str, Any]:
    """Write everything that is computed from a run's records and captures; return its summary.

    What only the running processes knew (fidelity.json) is kept where they wrote it.

    Raises TestbedError: the folder is not a run's, or the run ended before its clock started.
    """
    from testbed.analysis.conclusion import conclude_run
    from testbed.emulation.closing import give_to_user, name_interfaces, write_results

    if folder.read_json("manifest").get("engine") == "simulate":
        return conclude_run(folder, lambda _: _known_fidelity(folder))
    if not folder.read_json("manifest").get("origin_unix_s"):
        raise TestbedError(f"{folder.path}: the run ended before its clock started; run it again")
    name_interfaces(folder)
    summary = write_results(folder, lambda tables: _fidelity(folder, tables["queries"]))
    give_to_user(folder.path)
    return summary


def _goes_on(folder: RunFolder) -> bool:
    """Return whether the run's own process, which writes into the folder, is still there."""
    from testbed.emulation.sandbox.cleanup import observe_processes

    ours = {"testbed.emulation", str(folder.path.resolve())}
    return any(ours <= set(process.command) for process in observe_processes())


def _known_fidelity(folder: RunFolder) -> dict[str, Any]:
    fidelity = folder.read_json("fidelity")
    if not isinstance(fidelity.get("verdict"), str):
        raise TestbedError(f"{folder.path / 'fidelity.json'}: holds no verdict")
    return fidelity


def _fidelity(folder: RunFolder, queries: Any) -> dict[str, Any]:
    from testbed.emulation.evidence.fidelity import Evidence, assess

    if folder.has_json("fidelity"):
        return _known_fidelity(folder)
    evidence = Evidence(
        compute_late_s=queries["late_s"].tolist(),
        compared=int(queries["verified"].notna().sum()),
        unequal=int((queries["verified"] == False).sum()),  # noqa: E712  null is not unequal
        fallbacks=int((queries["outcome"] == "fallback").sum()),
    )
    fidelity = assess(evidence)
    fidelity["reasons"].append(_CUT_OFF)
    if fidelity["verdict"] == "good":
        fidelity["verdict"] = "degraded"
    return fidelity
