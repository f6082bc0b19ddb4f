"""Fig. 1: the cold start at a change of server, simulated and, in a minute, emulated."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.scripts import printed


def rows_of(out: Path, *arguments: str) -> list[dict[str, Any]]:
    return printed("fig1_cold_start", out, *arguments)["rows"]


def is_figure_1(rows: list[dict[str, Any]], at_peak: float) -> None:
    """40 queries, each 0.5 s after the last answer; slow at first, and again at the 21st.

    `at_peak` is what these two take at least, as a share of a query at the client alone.
    """
    assert [row["query"] for row in rows] == list(range(1, 41))
    assert [row["server"] for row in rows] == [1] * 20 + [2] * 20
    times_s = [row["latency_s"] for row in rows]
    local_s = rows[0]["local_query_s"]
    for peak in (0, 20):
        assert at_peak * local_s <= times_s[peak] < 1.1 * local_s
        assert max(times_s[peak + 10 : peak + 20]) < local_s / 3
    for row, later in pairwise(rows):
        gap_s = later["raised_s"] - row["raised_s"] - row["latency_s"]
        assert gap_s == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("uplink", ["separate", "shared"])
def test_query_times_fall_and_soar_at_the_change_of_server(tmp_path: Path, uplink: str) -> None:
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 80
    own = [row for row in rows if row["uplink"] == uplink]
    is_figure_1(own, 0.999)
    assert own[0]["layers_server"] == own[20]["layers_server"] == 0
    assert own[20]["latency_s"] == pytest.approx(own[0]["latency_s"])
    first, second = ([row["latency_s"] for row in own[k : k + 20]] for k in (0, 20))
    assert first == pytest.approx(second)  # from scratch both times
    assert (tmp_path / "out" / "figures" / "fig1_cold_start.png").stat().st_size > 10_000


@pytest.mark.emulation
@pytest.mark.slow
def test_emulated_it_is_the_same_but_for_the_machine(tmp_path: Path) -> None:
    """A query is raised up to half a second after a change: by then a few layers may be there."""
    rows = rows_of(tmp_path / "out", "--engine", "emulate")
    is_figure_1(rows, 0.5)
    beside = [row["latency_s"] / row["simulated_latency_s"] for row in rows]
    assert all(0.9 < each < 1.1 for each in sorted(beside)[4:-4])
