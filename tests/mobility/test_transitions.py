"""How people went from server to server."""

from __future__ import annotations

import numpy as np

from testbed.mobility.transitions import Flows

A, B, C = range(3)
#: A to B, B to C, C to A by one person; A to B, B to A by another.
PATHS = [np.array([A, A, B, B, C, A]), np.array([A, B, A, A])]


def told(flows: Flows, origin: int, target: int, own: Flows | None = None) -> list[float]:
    """Return the share of who left that went to the target, who entered it, and who left."""
    (share, entered, left) = flows.features(np.array([origin]), np.array([target]), own)[0].tolist()
    return [float(np.exp(share)), float(np.expm1(entered)), float(np.expm1(left))]


def test_changes_are_counted() -> None:
    flows = Flows(PATHS, servers=3)
    np.testing.assert_allclose(told(flows, A, B), [2.5 / 8, 2, 2], rtol=1e-5)
    np.testing.assert_allclose(told(flows, B, A), [1.5 / 8, 2, 2], rtol=1e-5)
    np.testing.assert_allclose(told(flows, C, A), [1.5 / 7, 2, 1], rtol=1e-5)
    np.testing.assert_allclose(told(flows, C, B), [0.5 / 7, 2, 1], rtol=1e-5)
    np.testing.assert_allclose(told(flows, A, A), [0.5 / 8, 2, 2], rtol=1e-5)  # staying is none


def test_nothing_is_counted_from_the_end_of_a_path_to_the_start_of_the_next() -> None:
    flows = Flows([np.array([A, B]), np.array([C, C])], servers=3)
    np.testing.assert_allclose(told(flows, B, C), [0.5 / 6, 0, 0], atol=1e-6)


def test_ones_own_changes_are_left_out() -> None:
    flows, own = Flows(PATHS, servers=3), Flows(PATHS[:1], servers=3)
    others = Flows(PATHS[1:], servers=3)
    for origin in (A, B, C):
        for target in (A, B, C):
            np.testing.assert_allclose(
                told(flows, origin, target, own), told(others, origin, target), rtol=1e-5, atol=1e-6
            )


def test_where_nobody_went_all_servers_are_alike() -> None:
    for flows in (Flows([], servers=3), Flows([np.array([A]), np.array([C, C])], servers=3)):
        first = told(flows, A, B)
        assert first == told(flows, C, A)
        np.testing.assert_allclose(first, [0.5 / 6, 0, 0], atol=1e-6)


def test_each_pair_has_a_row() -> None:
    flows = Flows(PATHS, servers=3)
    origin, target = np.array([A, C, B]), np.array([B, A, A])
    rows = flows.features(origin, target)
    assert rows.shape == (3, 3)
    for number, row in enumerate(rows):
        alone = flows.features(origin[number : number + 1], target[number : number + 1])
        np.testing.assert_array_equal(row, alone[0])
