"""From degrees to metres: against geodesics on the same ellipsoid."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Geod

from traces.projection import extent_m, middle_deg, project, unwrapped, way_m
from traces.recording import Track
from traces.window import GEOLIFE_WINDOW

EARTH = Geod(ellps="WGS84")


def track(lat_deg: list[float], lon_deg: list[float], name: str = "a") -> Track:
    return Track(
        name, name, np.arange(len(lat_deg), dtype=float), np.array(lon_deg), np.array(lat_deg)
    )


def test_centre_is_the_origin_and_axes_point_east_and_north() -> None:
    (trace,) = project([track([36.0, 36.001, 36.0], [127.0, 127.0, 127.001])], (36.0, 127.0))
    assert trace.positions_m[0].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert trace.positions_m[1].tolist() == pytest.approx([0, 110.96], abs=0.01)
    assert trace.positions_m[2].tolist() == pytest.approx([90.16, 0], abs=0.01)


def test_a_degree_of_latitude_is_111_km() -> None:
    (trace,) = project([track([0.0, 1.0], [0.0, 0.0])], (0.0, 0.0))
    assert np.diff(trace.y_m)[0] == pytest.approx(110_574, abs=1)


def test_distances_in_the_papers_window_are_those_on_the_earth() -> None:
    rng = np.random.default_rng(0)
    window = GEOLIFE_WINDOW
    lat_deg = rng.uniform(window.lat_min_deg, window.lat_max_deg, 200)
    lon_deg = rng.uniform(window.lon_min_deg, window.lon_max_deg, 200)
    (trace,) = project([track(lat_deg, lon_deg)], window.centre_deg)
    _, _, on_earth_m = EARTH.inv(lon_deg[:-1], lat_deg[:-1], lon_deg[1:], lat_deg[1:])
    in_plane_m = np.hypot(np.diff(trace.x_m), np.diff(trace.y_m))
    assert in_plane_m == pytest.approx(on_earth_m, rel=1e-6)


def test_tracks_keep_their_names_lengths_and_times() -> None:
    tracks = [track([36.0] * n, [127.0] * n, str(n)) for n in (3, 1, 2)]
    traces = project(tracks, (36.0, 127.0))
    assert [(trace.name, len(trace)) for trace in traces] == [("3", 3), ("1", 1), ("2", 2)]
    assert traces[0].time_s.tolist() == [0, 1, 2]


def test_way_and_extent_are_measured_on_the_earth() -> None:
    there_and_back = track([36.0, 36.001, 36.0], [127.0, 127.0, 127.0])
    assert way_m(there_and_back) == pytest.approx(2 * 110.96, abs=0.02)
    width_m, height_m = extent_m([there_and_back, track([36.0], [127.001])])
    assert (width_m, height_m) == pytest.approx((90.16, 110.96), abs=0.01)
    around = extent_m([track([0.0, 0.0], [-180.0, 180.0])])
    assert around[0] == pytest.approx(40_075_017, rel=1e-6)


def test_middle_is_the_median() -> None:
    assert middle_deg([track([1.0, 2.0], [5.0, 6.0]), track([90.0], [180.0])]) == (2.0, 6.0)


def test_longitudes_go_on_beyond_180_degrees() -> None:
    tracks = unwrapped((track([0.0, 0.0], [179.99, -179.99]), track([0.0], [-179.98])))
    assert [each.x.tolist() for each in tracks] == [[179.99, pytest.approx(180.01)], [180.02]]
    lat_deg, lon_deg = middle_deg(tracks)
    assert (lat_deg, lon_deg) == (0, pytest.approx(180.01))
    walk, _ = project(tracks, (lat_deg, lon_deg))
    assert walk.x_m == pytest.approx([-2226.4, 0], abs=0.1)
    assert way_m(tracks[0]) == pytest.approx(2226.4, abs=0.1)
    assert extent_m(tracks)[0] == pytest.approx(1.5 * 2226.4, abs=0.1)


@pytest.mark.parametrize("lon_deg", [[-80.0, 100.0], [-118.0, -0.1, 0.1, 139.0]])
def test_longitudes_of_half_the_earth_or_on_both_sides_of_0_stay(lon_deg: list[float]) -> None:
    tracks = (track([0.0] * len(lon_deg), lon_deg),)
    assert unwrapped(tracks) is tracks
