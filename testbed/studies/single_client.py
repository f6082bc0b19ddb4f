"""One client at an edge server and then the next (section IV.A): what Table II and Fig. 7 share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from testbed.checks import check
from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError
from testbed.launch import new_folder, parser
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment
from testbed.settings.options import check_read, with_options
from testbed.simulation.exact_attachment import (
    AttachmentResult,
    Sharing,
    SimulatedAttachment,
    simulate,
)
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.studies.findings import say

Groups = Sequence[tuple[int, ...]]

#: 2**20 bit/s over 10**6: what the paper's "Mbps" turn out to be (see `table2_throughput.py`).
MEBI = 2**20 / 1e6

#: The settings that are free; the scripted walk decides the others.
_READ = ("engine", "seed", "wireless.", "backhaul.", "model.", "server.", "compute.", "simulation.")


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

    Raise ConfigurationError for an unknown or wrong setting, or one that the scripted walk decides
    and that is not among the paths `settable`; or for nothing to upload, where that is to be
    emulated.
    """
    given = parser(experiment).parse_args()
    named = check_read(given, (*_READ, *settable), experiment.name)
    settings = with_options(experiment, given)
    one = "model.name" in named
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
) -> AttachmentResult:
    """Let a client attach, for as long as an upload can take unless `duration_s` is named."""
    longest_s = 16 * model.plan.upload_bytes / model.costs.up_bps + 1  # half the rate throughout
    settings = {"duration_s": longest_s, "first_query_s": first_query_s} | more
    return simulate(model, SimulatedAttachment(upload=groups, sharing=sharing, **settings))
