from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from topologies.hexgrid import HexGrid

GRIDS = [HexGrid(50.0), HexGrid(50.0, (17.0, -31.0)), HexGrid(7.5, (1e5, 3e6))]


def points(grid: HexGrid) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-40, 40, (2000, 2)) * grid.circumradius_m + grid.origin_m


@pytest.mark.parametrize("grid", GRIDS)
def test_every_point_lies_within_the_circumradius_of_its_cells_centre(grid: HexGrid) -> None:
    xy = points(grid)
    distance_m = np.hypot(*(grid.centre(grid.cell_of(*xy.T)) - xy).T)
    assert distance_m.max() <= grid.circumradius_m * (1 + 1e-9)
    assert distance_m.max() > 0.95 * grid.circumradius_m


@pytest.mark.parametrize("grid", GRIDS)
def test_nearest_centre_is_that_of_the_points_cell(grid: HexGrid) -> None:
    xy = points(grid)
    cells = np.stack(np.meshgrid(range(-90, 91), range(-60, 61)), axis=-1).reshape(-1, 2)
    own = np.hypot(*(grid.centre(grid.cell_of(*xy.T)) - xy).T)
    centres = grid.centre(cells)
    nearest = np.array([np.hypot(*(centres - point).T).min() for point in xy[:300]])
    np.testing.assert_allclose(own[:300], nearest, rtol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_centre_lies_in_its_own_cell(grid: HexGrid) -> None:
    cells = np.stack(np.meshgrid(range(-20, 21), range(-20, 21)), axis=-1).reshape(-1, 2)
    assert (grid.cell_of(*grid.centre(cells).T) == cells).all()


def test_cells_stand_on_a_corner_and_have_six_neighbours() -> None:
    grid = HexGrid(10.0)
    assert grid.cell_of(0, 9.99).tolist() == [0, 0]  # the northern corner, at 10 m
    assert grid.cell_of(8.67, 0).tolist() == [1, 0]  # beyond the eastern side, at 8.66 m
    around = grid.centre([(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)])
    np.testing.assert_allclose(np.hypot(*around.T), 10 * np.sqrt(3))


@pytest.mark.parametrize("circumradius_m", [0.0, -50.0, float("nan")])
def test_circumradius_must_be_positive(circumradius_m: float) -> None:
    with pytest.raises(ConfigurationError, match="circumradius"):
        HexGrid(circumradius_m)
