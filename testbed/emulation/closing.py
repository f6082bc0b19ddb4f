"""From what a run left (rows, raw capture) to its tables, figures and report."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.analysis.conclusion import conclude_run
from testbed.analysis.summary import Tables
from testbed.analysis.traffic.traffic_analysis import analyze_run
from testbed.emulation.evidence.fidelity import GPU_READINGS, assess, rate_shares
from testbed.emulation.evidence.packet_capture import SNAP_BYTES, raw_captures
from testbed.emulation.outcome import Outcome, raw_folder
from testbed.errors import TestbedError
from testbed.repository import RESULTS
from testbed.runs.folder import RunFolder
from testbed.runs.records import collect, has_table, read_table, write_table
from testbed.settings.experiment import from_dict


def conclude(folder: RunFolder, outcome: Outcome) -> dict[str, Any]:
    """Write everything that is computed from a run that has ended; return its summary.

    Its processes have ended, complete or not; `outcome` is what the running one knew.
    """
    capture, evidence = outcome.capture, outcome.evidence
    evidence.capture_complete = capture is not None and capture.complete
    if capture is not None:
        evidence.packets_captured, evidence.packets_dropped = capture.captured, capture.dropped
    evidence.delay_missing = outcome.delay is not None and outcome.delay.missing
    name_interfaces(folder)
    settings = from_dict(folder.read_json("config"))

    def judge(tables: Tables) -> dict[str, Any]:
        queries, transfers = tables["queries"], tables["transfers"]
        evidence.compute_late_s = queries["late_s"].tolist()
        evidence.fallbacks = int((queries["outcome"] == "fallback").sum())
        if settings.wireless.airtime == "separate":  # else a link's ideal rate depends on others
            uploads = transfers[transfers["cause"] == "upload"]
            rows = uploads[["client", "started_s", "ended_s"]].itertuples(index=False)
            sent, up_bps = evidence.readings.sent, settings.wireless.up_bps
            evidence.rate_shares = rate_shares(sent, rows, up_bps)
        if has_table(folder.path, "gpu"):
            readings = read_table(folder.path, "gpu")[[*GPU_READINGS]]
            evidence.gpu = {name: readings[name].dropna().tolist() for name in readings}
        return assess(evidence)

    return write_results(folder, judge)


def write_results(folder: RunFolder, judge: Callable[[Tables], dict[str, Any]]) -> dict[str, Any]:
    """Write tables, fidelity (`judge` makes it of them), figures and report; return the summary."""
    collect(folder.path)
    found = analyze_run(folder)
    for problem in found.problems:
        sys.stderr.write(f"warning: {problem}\n")
    # As seen from the run's folder
    problems = [problem.replace(f"{folder.path}{os.sep}", "") for problem in found.problems]
    write_table(folder.path, "backhaul", found.backhaul)
    write_table(folder.path, "flows", found.flows)
    for name, table in (("reconciliation", found.reconciliation), ("witness", found.witness)):
        if table is not None:
            write_table(folder.path, name, table)
        else:  # one of an earlier report would be of other captures
            (folder.path / f"{name}.parquet").unlink(missing_ok=True)
    return conclude_run(folder, lambda tables: _with_problems(judge(tables), problems))


def _with_problems(fidelity: dict[str, Any], problems: Sequence[str]) -> dict[str, Any]:
    """Return the fidelity of a run whose captures or tables have these problems now.

    `before_captures` keeps what was judged without them, for a report that is made again.
    """
    before = fidelity.get("before_captures") or {
        "verdict": fidelity["verdict"],
        "reasons": list(fidelity.get("reasons", ())),
    }
    others = {key: value for key, value in fidelity.items() if key != "before_captures"}
    if not problems:
        return others | before
    verdict = "degraded" if before["verdict"] == "good" else before["verdict"]
    reasons = [*before["reasons"], *problems]
    return others | {"verdict": verdict, "reasons": reasons, "before_captures": before}


def name_interfaces(folder: RunFolder) -> None:
    """Turn the raw captures of a run into one pcapng with named interfaces, unless that is done.

    Raises TestbedError if the names of its interfaces are lost.
    """
    raw = raw_folder(folder)
    if not raw.exists():
        return
    try:
        captures = raw_captures(raw)
    except (OSError, ValueError) as error:
        raise TestbedError(f"{raw}: the names of the ports are lost: {error}") from error
    addresses = folder.read_json("manifest").get("addresses")
    to_pcapng(captures, folder.pcap / "backhaul.pcapng", addresses, snap_bytes=SNAP_BYTES)
    shutil.rmtree(raw)


def give_to_user(path: Path) -> None:
    """Give a run folder to the user who called sudo, so that no root is needed to look at it."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user is None or group is None:
        return
    parents = (parent for parent in path.resolve().parents if parent.is_relative_to(RESULTS))
    new = [parent for parent in parents if parent.stat().st_uid == 0]
    for item in (*new, path, *path.rglob("*")):
        os.chown(item, int(user), int(group), follow_symlinks=False)
