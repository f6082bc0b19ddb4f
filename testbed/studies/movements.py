"""Whose movement a study looks at, and how it is split (section IV.B)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from testbed.errors import ConfigurationError
from testbed.movement import People, place_people, record, with_own_steps
from testbed.settings.experiment import Experiment, changed
from testbed.settings.options import with_options
from testbed.studies import paper
from testbed.studies.findings import say
from traces.datasets import SYNTHETIC
from traces.recording import Recording
from traces.trace import TraceSet


@dataclass(frozen=True)
class Movements:
    """Recorded traces, and how they are looked at."""

    name: str  # "kaist" or "geolife" where the paper has figures of them, else their source
    settings: Experiment  # with the paper's interval and number of segments where none was given
    recording: Recording
    splits: int  # how often the people are split, with successive seeds

    @property
    def lstm_units(self) -> int:
        """Size of the recurrent network's latent vector."""
        return paper.DATA_SETS.get(self.name, paper.DATA_SETS["kaist"]).lstm_units

    @property
    def interval_s(self) -> float:
        """The time between positions."""
        return self.settings.traces.step_s

    def people(self, interval_s: float | None = None) -> People:
        """Return everyone at steps of an interval, and the access points they pass."""
        step = {} if interval_s is None else {"traces.interval_s": interval_s}
        people = place_people(self.recording, changed(self.settings, step))
        if people.made:
            say(people.made)
        return people

    def split(self, people: People) -> Iterator[tuple[TraceSet, TraceSet]]:
        """Yield the traces to learn from and those to test with, once for each split."""
        for number in range(self.splits):
            yield people.split(replace(self.settings, seed=self.settings.seed + number))


def load(
    experiment: Experiment, given: argparse.Namespace, sample_s: float | None = None
) -> Movements:
    """Load the traces that the command line names; it has `splits` too.

    Movement that is given by its waypoints is sampled each `sample_s`. Raise ConfigurationError for
    a wrong option, or traces that cannot be read.
    """
    if not 1 <= given.splits <= 100:
        raise ConfigurationError(f"--splits {given.splits}: from 1 to 100")
    sampled = {} if sample_s is None else {"traces.interval_s": sample_s}
    recording = record(with_options(experiment, given, **sampled))
    name = "geolife" if recording.format == "geolife" else recording.source
    usual = paper.DATA_SETS.get(name, paper.DATA_SETS["kaist"])
    prepared = {f"traces.{key}": each for key, each in usual.preparation.items()}
    settings = with_own_steps(with_options(changed(experiment, prepared), given), recording)
    return Movements(name, settings, recording, given.splits)


def on_campus(experiment: Experiment, given: argparse.Namespace, sample_s: float) -> Movements:
    """Return the synthetic campus in the place of the traces that the command line names."""
    campus = argparse.Namespace(**vars(given) | {"traces.path": None, "traces.format": SYNTHETIC})
    return load(experiment, campus, sample_s)
