"""Fig. 8: where people walked, and the cells that have an edge server (section IV.B.1).

    python experiments/fig8_trajectories.py
    python experiments/fig8_trajectories.py --traces Data      # Geolife's, as in the paper

An edge server stands in each hexagonal cell that anyone visits.
"""

from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd

from testbed.analysis.figures.mobility_figures import draw_trajectories
from testbed.settings.experiment import Experiment
from testbed.studies.findings import Findings, Row
from testbed.studies.study import MOVEMENT, Context, Study, main


def measure(context: Context) -> Iterator[Row]:
    """Yield how many people, segments and cells there are."""
    people = context.extra["people"] = context.movements.people()
    yield {
        "dataset": context.movements.name,
        "people": len(people.traces.people),
        "segments": len(people.traces.traces),
        "cells": len(people.access_points),
    }


def conclude(context: Context, counts: pd.DataFrame) -> Findings:
    """Draw."""
    (row,), people = counts.to_dict("records"), context.extra["people"]
    figure = draw_trajectories(
        context.folder.figures,
        people.traces.positions_m,
        people.servers_m,
        context.settings.traces.cell_circumradius_m,
    )
    text = (
        f"{row['dataset']}: {row['people']} people, {row['segments']} unbroken segments,"
        f" {row['cells']} cells with an edge server"
    )
    return Findings([row], [text], [figure])


STUDY = Study(Experiment(name="fig8_trajectories"), measure, conclude, reads=MOVEMENT)

if __name__ == "__main__":
    main(STUDY)
