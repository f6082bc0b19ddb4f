"""Whose movement is predicted: what the experiments about predictors share (section IV.B)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import paper
from msgspec.structs import replace

from testbed.commands.output import add_json
from testbed.commands.settings import TRACES, add_settings, settings_of
from testbed.config import Experiment, from_dict, to_dict
from testbed.errors import ConfigurationError
from testbed.movement import People, place_people, record
from testbed.runfolder import RunFolder
from traces.library import SYNTHETIC
from traces.recording import Recording
from traces.trace import Between, TraceSet

_RESULTS = Path(__file__).resolve().parents[1] / "results"
_OPTIONS = {
    **TRACES,
    "--window": "traces.window_m",
    "--window-deg": "traces.window_deg",
    "--gap": "traces.gap_s",
    "--cell-circumradius": "traces.cell_circumradius_m",
    "--trajectory-length": "migration.trajectory_length",
    "--seed": "seed",
}


@dataclass(frozen=True)
class Movements:
    """Recorded traces, and how they are looked at.

    Args:
        name: "kaist" or "geolife" where the paper has figures of them, else their source.
        settings: with the paper's interval and number of segments where none was given.
        recording: as loaded.
        splits: how often the people are split, with successive seeds.
    """

    name: str
    settings: Experiment
    recording: Recording
    splits: int

    @property
    def lstm_units(self) -> int:
        """Size of the recurrent network's latent vector."""
        return paper.DATA_SETS.get(self.name, paper.DATA_SETS["kaist"]).lstm_units

    def people(self, interval_s: float | None = None) -> People:
        """Return everyone at steps of an interval, and the access points they pass."""
        return place_people(self.recording, with_traces(self.settings, interval_s=interval_s))

    def split(self, people: People) -> Iterator[tuple[TraceSet, TraceSet]]:
        """Yield the traces to learn from and those to test with, once for each split."""
        for number in range(self.splits):
            yield people.split(replace(self.settings, seed=self.settings.seed + number))


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """Return the parser of an experiment about predictors."""
    made = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--traces",
        metavar="PATH",
        help="file or folder of traces (default: KAIST where found, else a synthetic campus)",
    )
    made.add_argument(
        "--test-people",
        type=int,
        metavar="N",
        help="people who are tested, the rest train (default: a third, of KAIST's 92 31)",
    )
    made.add_argument(
        "--test-segments",
        type=int,
        metavar="N",
        help="at most so many unbroken segments of theirs (default: Geolife 138, else all)",
    )
    made.add_argument(
        "--min-duration",
        type=float,
        metavar="S",
        help="shorter unbroken segments are dropped (default: Geolife 120, else 0)",
    )
    made.add_argument(
        "--between-samples",
        choices=get_args(Between),
        help="positions step at the samples, or move between them (default: Geolife interpolate,"
        " else hold)",
    )
    add_settings(made, _OPTIONS)
    made.add_argument(
        "--splits", type=int, default=5, metavar="N", help="of the people (default: %(default)s)"
    )
    made.add_argument(
        "--out", type=Path, metavar="DIR", help=f"new folder (default: results/{name}/RUN-ID)"
    )
    add_json(made)
    return made


def add_interval(made: argparse.ArgumentParser) -> None:
    """Add the option --interval."""
    made.add_argument(
        "--interval",
        type=float,
        metavar="S",
        help="seconds between positions (default: the paper's, Geolife 20, else 30)",
    )


def load(given: argparse.Namespace, sample_s: float | None = None) -> Movements:
    """Load the traces that the command line names.

    Args:
        given: of a `parser`.
        sample_s: step at which movement that is given by its waypoints is sampled.

    Raises:
        ConfigurationError: a wrong option, or traces that cannot be read.
    """
    if not 1 <= given.splits <= 100:
        raise ConfigurationError(f"--splits {given.splits}: from 1 to 100")
    asked = settings_of(given, given.traces)
    interval_s = getattr(given, "interval", None)
    sampled = with_traces(asked, interval_s=sample_s or interval_s)
    recording = record(sampled)
    name = "geolife" if recording.format == "geolife" else recording.source
    usual = paper.DATA_SETS.get(name, paper.DATA_SETS["kaist"])
    settings = with_traces(asked, interval_s=usual.interval_s, **usual.preparation)
    settings = with_traces(
        settings,
        interval_s=interval_s,
        test_people=given.test_people,
        test_segments=given.test_segments,
        min_duration_s=given.min_duration,
        between_samples=given.between_samples,
    )
    return Movements(name, settings, recording, given.splits)


def with_traces(settings: Experiment, **given: object) -> Experiment:
    """Return settings whose traces have the values given; None leaves what was.

    Raises:
        ConfigurationError: a wrong value.
    """
    values = to_dict(settings)
    values["traces"] |= {name: value for name, value in given.items() if value is not None}
    return from_dict(values)


def on_campus(given: argparse.Namespace, sample_s: float) -> Movements:
    """Return the synthetic campus in the place of the traces that the command line names."""
    return load(
        argparse.Namespace(**{**vars(given), "traces": None, "trace_format": SYNTHETIC}), sample_s
    )


def new_folder(given: argparse.Namespace, name: str, movements: Movements) -> RunFolder:
    """Make the folder for what comes out, with the settings in it."""
    folder = (
        RunFolder.create(_RESULTS, name, movements.settings.seed)
        if given.out is None
        else RunFolder.at(given.out)
    )
    content = to_dict(movements.settings)
    folder.write_json("config", {**content, "name": name, "splits": movements.splits})
    return folder
