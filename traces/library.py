"""Which traces an experiment uses when it names none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from traces.campus import synthetic_campus
from traces.crawdad import load_folder, trace_files
from traces.trace import TraceSet

_REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_FOLDERS = (
    _REPOSITORY / "traces" / "data" / "kaist",
    _REPOSITORY.parent / "shared" / "data" / "kaist",
)

#: By the name of a format; "auto" finds it out, among the one that there is.
LOADERS: dict[str, Callable[[Path], TraceSet]] = {"auto": load_folder, "crawdad": load_folder}


def find_traces(folder: Path | None, seed: int, trace_format: str = "auto") -> TraceSet:
    """Return the traces of `folder`, or else KAIST's where found, or else the synthetic campus.

    The set's `source` says which it was; `seed` matters to the synthetic campus alone.

    Raises:
        TraceError: the traces cannot be read.
    """
    if folder is not None:
        return LOADERS[trace_format](folder)
    for default in DEFAULT_FOLDERS:
        if trace_files(default):
            return load_folder(default)
    return synthetic_campus(seed)
