"""One client at an edge server and then the next (section IV.A): what Table II and Fig. 7 share."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _delivery import say
from msgspec.structs import asdict, replace

from testbed.commands.output import add_json, print_table
from testbed.config import Experiment
from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError
from testbed.experiment import check, new_folder, parser
from testbed.options import with_options
from testbed.runfolder import RunFolder
from testbed.simulation.attachment import Attachment, Sharing, Stay, simulate
from testbed.simulation.offloading import Offloading, offloading_of

Groups = Sequence[tuple[int, ...]]
Column = tuple[str, str]  # heading, and the format of numbers (".1f")

#: 2**20 bit/s over 10**6: what the paper's "Mbps" turn out to be (see `table2_throughput.py`).
MEBI = 2**20 / 1e6

_SET_HERE = ("traces", "replay", "migration")  # the sections of settings that the walk decides


@dataclass(frozen=True)
class Asked:
    """What the command line asks for: settings, models, folder, and whether as JSON."""

    settings: Experiment
    models: tuple[str, ...]
    out: Path | None
    json: bool

    def for_model(self, model: str) -> Experiment:
        """Return the settings with one of the models."""
        return replace(self.settings, model=replace(self.settings.model, name=model))

    def folder(self) -> RunFolder:
        """Make the folder for what comes out."""
        return new_folder(self.settings, self.out)


def ask(experiment: Experiment, models: Sequence[str], settable: Collection[str] = ()) -> Asked:
    """Read and check the command line; it may name one model instead of all.

    Raises:
        ConfigurationError: an unknown or wrong setting, or one that the walk decides and that is
            not among the paths `settable`; or nothing to upload, where that is to be emulated.
    """
    made = parser(experiment)
    add_json(made)
    given = made.parse_args()
    settings = with_options(experiment, given)
    for section in _SET_HERE:
        for name, value in asdict(getattr(settings, section)).items():
            path = f"{section}.{name}"
            if path not in settable and value != getattr(getattr(experiment, section), name):
                raise ConfigurationError(
                    f"{path}: decided by the scripted walk of {experiment.name}; cannot be set"
                )
    one = given.model is not None or settings.model.name != experiment.model.name
    asked = Asked(settings, (settings.model.name,) if one else tuple(models), given.out, given.json)
    for model in asked.models:
        check(asked.for_model(model), asked.out)
        if not offloading_of(asked.for_model(model)).plan.upload_bytes:
            text = f"{model}: at these rates nothing is worth offloading"
            if settings.engine == "emulate":
                raise ConfigurationError(text)
            say(text)
    return asked


def rate_text(bps: float) -> str:
    """Return "35 * 10^6", or "35 * 2^20" where that is the rounder number; "1" as it is."""
    if bps < 1e5:
        return f"{bps:g}"
    mebi = bps / 2**20
    return f"{mebi:g} * 2^20" if abs(mebi - round(mebi)) < 1e-9 else f"{bps / 1e6:g} * 10^6"


def one_by_one(runs: Groups) -> Groups:
    """Return the layers of runs in their order, each of use by itself."""
    return [(layer,) for run in runs for layer in run]


def whole(graph: LayerGraph, groups: Groups) -> dict[int, float]:
    """Return all layers of the groups as present."""
    return {layer: float(graph.layers[layer].weight_bytes) for run in groups for layer in run}


def stay(
    model: Offloading, groups: Groups, sharing: Sharing, first_query_s: float, **more: Any
) -> Stay:
    """Let a client attach, for as long as an upload can take unless `duration_s` is named."""
    longest_s = 16 * model.plan.upload_bytes / model.costs.up_bps + 1  # half the rate throughout
    settings = {"duration_s": longest_s} | more
    return simulate(
        model, Attachment(upload=groups, sharing=sharing, first_query_s=first_query_s, **settings)
    )


def remark(text: str) -> None:
    """Explain a table below it."""
    sys.stdout.write(text + "\n")


def print_fixed(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], title: str | None = None
) -> None:
    """Print a table with each column's numbers in one format; text in it stays as it is."""
    shown = [
        [
            value if isinstance(value, str) else format(value, form)
            for value, (_, form) in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    headings = [heading for heading, _ in columns]
    for index, (heading, form) in enumerate(columns):
        if form:  # what is text already would stand on the left
            lines = heading.split("\n")
            width = max(map(len, [*lines, *(row[index] for row in shown)]))
            headings[index] = "\n".join(line.rjust(width) for line in lines)
            for row in shown:
                row[index] = row[index].rjust(width)
    print_table(headings, shown, title)
