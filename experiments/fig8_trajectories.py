"""Fig. 8: where people walked, and the cells that have an edge server (section IV.B.1).

    python experiments/fig8_trajectories.py
    python experiments/fig8_trajectories.py --traces Data      # Geolife's, as in the paper

An edge server stands in each hexagonal cell that anyone visits.
"""

import _venv  # noqa: F401  continues under the project's interpreter; must come first
from _delivery import Row, deliver, say
from _mobility import add_interval, load, new_folder, parser

from testbed.analysis.mobility_figures import draw_trajectories
from testbed.errors import EXIT_COMPLETE
from testbed.exits import exit_with

NAME = "fig8_trajectories"


def main() -> int:
    """Draw."""
    made = parser(__doc__, NAME)
    add_interval(made)
    given = made.parse_args()
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    people = movements.people()
    row: Row = {
        "dataset": movements.name,
        "people": len(people.traces.people),
        "segments": len(people.traces.traces),
        "cells": len(people.access_points),
    }
    figure = draw_trajectories(
        folder.figures,
        people.traces.positions_m,
        people.servers_m,
        movements.settings.traces.cell_circumradius_m,
    )
    deliver(folder, [row], given.json)
    if not given.json:
        print(
            f"{row['dataset']}: {row['people']} people, {row['segments']} unbroken segments,"
            f" {row['cells']} cells with an edge server"
        )
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return EXIT_COMPLETE


if __name__ == "__main__":
    exit_with(main)
