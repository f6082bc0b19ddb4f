"""Which traces an experiment uses when it names none."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import TraceError
from traces.campus import synthetic_campus
from traces.files import trace_files
from traces.loading import load
from traces.recording import Reading, Recording, recorded

SYNTHETIC = "synthetic"  # the format of what is read from no file

_REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_FOLDERS = (
    _REPOSITORY / "traces" / "data" / "kaist",
    _REPOSITORY.parent / "shared" / "data" / "kaist",
)


def find_traces(
    path: Path | None, seed: int, trace_format: str = "auto", reading: Reading | None = None
) -> Recording:
    """Return the traces of `path`, or else KAIST's where found, or else the synthetic campus.

    The recording's `source` says which it was. The format "synthetic" asks for the campus, and has
    no path; `seed` matters to it alone.

    Raises:
        TraceError: the traces cannot be read.
    """
    reading = reading or Reading()
    if is_campus(path, trace_format):
        return campus(seed, reading)
    if path is not None:
        return load(path, trace_format, reading)
    return load(_defaults()[0], "crawdad", reading)


def is_campus(path: Path | None, trace_format: str = "auto") -> bool:
    """Return whether these traces are the synthetic campus, the only ones that a seed matters to.

    Raises:
        TraceError: it is asked for, and a path too.
    """
    if path is None:
        return trace_format == SYNTHETIC or not _defaults()
    if trace_format == SYNTHETIC:
        raise TraceError(f"{path}: the synthetic campus is not read from files; name no path")
    return False


def _defaults() -> list[Path]:
    return [folder for folder in DEFAULT_FOLDERS if trace_files(folder)]


def campus(seed: int, reading: Reading) -> Recording:
    """Return the synthetic campus; what is read from no file is sampled as waypoints are."""
    return recorded(synthetic_campus(seed, interval_s=reading.sample_s), SYNTHETIC)
