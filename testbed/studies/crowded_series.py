"""Several runs of one movement: the first tells which servers are crowded, the rest go by that."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from testbed.analysis.traffic.crowding import crowded_servers
from testbed.runs.folder import RunFolder
from testbed.runs.series import Series
from testbed.settings.experiment import Experiment
from testbed.studies.findings import say

Runs = Mapping[str, Experiment]


def run_series(
    folder: RunFolder, first: str, settings: Experiment, others: Callable[[tuple[str, ...]], Runs]
) -> int:
    """Make the run called `first`, then the others at the servers that were crowded.

    Runs lie in subfolders of `folder`; what has been completed stays when one fails. `others` leads
    from the crowded servers to the settings of the other runs, by name. Return the exit status.
    """
    series = Series(folder.path, runs=1 + len(others(())))
    if status := series.run({first: settings}):
        return status
    crowded = tuple(crowded_servers(RunFolder(folder.path / first)))
    say(f"crowded: {', '.join(crowded)}")
    return series.run(others(crowded))


def is_complete(folder: RunFolder, name: str) -> bool:
    """Whether a run has come to its summary."""
    return (folder.path / name / "summary.json").is_file()
