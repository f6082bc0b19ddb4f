from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from testbed.values import AccessPoint
from topologies.hexgrid import HexGrid
from topologies.placement import near_paths, place_access_points, visited_cells
from traces.datasets import load_folder
from traces.prepare import crop

KAIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "kaist"


@dataclass(frozen=True)
class Positions:
    x_m: np.ndarray
    y_m: np.ndarray


def positions(*xy: tuple[float, float]) -> Positions:
    return Positions(*np.array(xy, float).T)


def test_each_visited_cell_gets_one_access_point_at_its_centre() -> None:
    grid = HexGrid(50.0)
    paths = positions((1, 2), (-3, 4), (86, 0)), positions((85, 3), (43, 75))
    placed = place_access_points(grid, paths)
    assert [ap.name for ap in placed] == ["ap1", "ap2", "ap3"]
    np.testing.assert_allclose(
        [(ap.x_m, ap.y_m) for ap in placed], grid.centre([(0, 0), (1, 0), (0, 1)])
    )


def test_cells_are_ordered_from_south_to_north_then_west_to_east() -> None:
    cells = visited_cells(HexGrid(50.0), [positions((200, 300), (-200, 300), (0, -300), (400, 0))])
    assert cells.tolist() == sorted(cells.tolist(), key=lambda cell: (cell[1], cell[0]))


def test_names_do_not_depend_on_the_order_of_the_paths() -> None:
    rng = np.random.default_rng(0)
    paths = [Positions(*rng.uniform(-500, 500, (2, 30))) for _ in range(5)]
    grid = HexGrid(50.0)
    assert place_access_points(grid, paths) == place_access_points(grid, paths[::-1])


def test_no_paths_give_no_access_points() -> None:
    assert place_access_points(HexGrid(50.0), []) == ()


def test_access_points_beyond_the_margin_of_every_position_are_left_out() -> None:
    aps = tuple(AccessPoint(f"ap{k}", 100.0 * k, 0.0) for k in range(8))
    chosen = near_paths(aps, np.array([(0.0, 0.0), (500.0, 0.0)]), margin_m=100.0)
    assert [ap.name for ap in chosen] == ["ap0", "ap1", "ap4", "ap5", "ap6"]


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
@pytest.mark.parametrize("origin_m", [(0.0, 0.0), (20.0, 30.0), (70.0, 60.0)])
def test_kaist_visits_about_as_many_cells_as_the_paper_has_servers(
    origin_m: tuple[float, float],
) -> None:
    # 24 crowded servers are the paper's "top 5-7 %": 343 to 480 servers.
    placed = place_access_points(HexGrid(50.0, origin_m), crop(load_folder(KAIST)).traces)
    assert 343 <= len(placed) <= 375
