"""The contention profile of a measured device, in a file beside its device profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_host import Accelerator, profile_real
from testbed.gpu.contention.contention_profile import COLUMNS

#: Clients beside the timed one (as in Fig. 4), load periods of each number, seconds of one.
CLIENTS, RUNS, RUN_S = (1, 2, 4, 8, 16), 10, 2.5


def contention_path(profile: Path) -> Path:
    """Return where the contention profile of a device profile's file lies."""
    return profile.with_suffix(".contention.parquet")


def measure_contention(
    profile: Path, model: str, accelerator: Accelerator, say: Callable[[str], None]
) -> tuple[Path, int]:
    """Measure how this machine's clients slow each other down; return the file, and the queries.

    It is written beside a device profile's file. Takes over two minutes. Raises as `profile_real`.
    """
    measured = profile_real(
        [model], CLIENTS, run_s=RUN_S, runs=RUNS, accelerator=accelerator, say=say
    )
    path = contention_path(profile)
    measured.to_parquet(path, index=False)
    return path, int(measured["request"].nunique())


def read_contention(path: Path, source: str) -> pd.DataFrame:
    """Return a contention profile whose statistics are of a source.

    Raises ConfigurationError if the file is none, or one of another source.
    """
    try:
        profile = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: is no contention profile: {error}") from error
    if lacking := COLUMNS.keys() - profile.columns:
        raise ConfigurationError(f"{path}: has no column {', '.join(sorted(lacking))}")
    if (sources := set(profile["source"])) != {source}:
        found = ", ".join(sorted(sources)) or "nothing"
        raise ConfigurationError(
            f"{path}: its statistics are of {found}, not of {source}; measure it again by"
            " 'testbed profile --contention', or remove it"
        )
    return profile
