"""The folder of one run: where it is, and its documents, each written whole or not at all."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import ConfigurationError
from testbed.output import to_json
from testbed.runs.warm_start import WarmStart
from testbed.runs.whole_files import written_whole
from testbed.values import Schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DOCUMENTS = (
    *("config", "manifest", "summary", "fidelity", "schedule", "warm_start"),
    *("agreement", "worth"),
)


@dataclass(frozen=True)
class RunFolder:
    """One run's folder, `results/NAME/RUN-ID` unless the user named another."""

    path: Path

    @classmethod
    def create(cls, results: Path, name: str, seed: int) -> RunFolder:
        """Make a new folder for a run of experiment `name`; RUN-ID is UTC time and seed.

        Raise ConfigurationError if it cannot be made there.
        """
        run_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-seed{seed}"
        for attempt in itertools.count(1):
            path = results / name / (run_id if attempt == 1 else f"{run_id}-{attempt}")
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigurationError(
                    f"{path}: cannot be made: {error.strerror}; name another folder with --out"
                ) from error
        return cls(path)

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """Make the folder that a user named, or take an empty one.

        Raise ConfigurationError if it cannot be made or written, or something is in it.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir())
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be made: {error.strerror}") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise ConfigurationError(f"{path}: may not be written; name another folder")
        if occupied:
            raise ConfigurationError(f"{path}: is not empty; name a new folder for the run")
        return cls(path)

    @property
    def pcap(self) -> Path:
        """Where the captures are."""
        return self.path / "pcap"

    @property
    def figures(self) -> Path:
        """Where the figures are."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What the processes said."""
        return self.path / "log.txt"

    def write_json(self, document: str, content: dict[str, Any]) -> None:
        """Write one of DOCUMENTS; ValueError for numbers that JSON has not (NaN, infinity)."""
        self._write(document, to_json(content).encode())

    def has_json(self, document: str) -> bool:
        """Whether one of DOCUMENTS is there."""
        return self._document(document).exists()

    def read_json(self, document: str) -> dict[str, Any]:
        """Return one of DOCUMENTS; ConfigurationError if it is not there or no JSON object."""
        try:
            content: dict[str, Any] = json.loads(self._read(document))
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{self._document(document)}: is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self._document(document)}: is no JSON object")
        return content

    def write_schedule(self, schedule: Schedule) -> None:
        """Write schedule.json, all movement of the run."""
        self._write("schedule", msgspec.json.format(msgspec.json.encode(schedule), indent=1))

    def write_warm_start(self, begins: WarmStart) -> None:
        """Write warm_start.json, what servers hold when the run begins."""
        self._write("warm_start", msgspec.json.format(msgspec.json.encode(begins), indent=1))

    def read_warm_start(self) -> WarmStart | None:
        """Return warm_start.json, None if the run began with empty servers."""
        if not self.has_json("warm_start"):
            return None
        try:
            return msgspec.json.decode(self._read("warm_start"), type=WarmStart)
        except msgspec.DecodeError as error:
            path = self._document("warm_start")
            raise ConfigurationError(f"{path}: is no warm start: {error}") from error

    @property
    def training(self) -> Path:
        """What the predictor of an emulated run learns from: an array (m, 2) for each trace, m."""
        return self.path / "training.npz"

    def write_training(self, positions_m: Iterable[npt.NDArray[np.float64]]) -> None:
        """Write training.npz."""
        import numpy as np

        with written_whole(self.training) as file, file.open("wb") as content:
            np.savez(content, *positions_m)

    def read_training(self) -> list[npt.NDArray[np.float64]]:
        """Return the arrays of training.npz."""
        import numpy as np

        with np.load(self.training, allow_pickle=False) as traces:
            return [traces[name] for name in traces.files]

    def read_schedule(self) -> Schedule:
        """Return schedule.json; ConfigurationError if it is not there or no schedule."""
        try:
            return msgspec.json.decode(self._read("schedule"), type=Schedule)
        except msgspec.DecodeError as error:
            path = self._document("schedule")
            raise ConfigurationError(f"{path}: is no schedule: {error}") from error

    def _document(self, document: str) -> Path:
        if document not in DOCUMENTS:
            raise ValueError(f"{document!r} is none of {', '.join(DOCUMENTS)}")
        return self.path / f"{document}.json"

    def _read(self, document: str) -> bytes:
        path = self._document(document)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise ConfigurationError(f"{path}: not found; is this the folder of a run?") from error
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error

    def _write(self, document: str, content: bytes) -> None:
        with written_whole(self._document(document)) as file:
            file.write_bytes(content)
