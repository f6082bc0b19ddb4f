"""Which traces an experiment uses when it names none."""

from __future__ import annotations

from pathlib import Path

from traces.campus import synthetic_campus
from traces.crawdad import load_folder, trace_files
from traces.trace import TraceSet

_REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_FOLDERS = (
    _REPOSITORY / "traces" / "data" / "kaist",
    _REPOSITORY.parent / "shared" / "data" / "kaist",
)


def find_traces(folder: Path | None, seed: int) -> TraceSet:
    """Return the traces of `folder`, or else KAIST's where found, or else the synthetic campus.

    The set's `source` says which it was; `seed` matters to the synthetic campus alone.

    Raises:
        TraceError: the traces cannot be read.
    """
    if folder is not None:
        return load_folder(folder)
    for default in DEFAULT_FOLDERS:
        if trace_files(default):
            return load_folder(default)
    return synthetic_campus(seed)
