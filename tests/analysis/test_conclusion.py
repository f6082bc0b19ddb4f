"""What is added to a run's tables at its end."""

from __future__ import annotations

import pandas as pd
import pytest

from testbed.analysis.conclusion import with_actual_positions
from testbed.runs.tables import TABLES
from testbed.values import AccessPoint, Fix, Schedule


@pytest.mark.parametrize("interval_s", [30.0, 0.7, 33.3])
def test_every_prediction_meets_the_position_one_interval_later(interval_s: float) -> None:
    steps = 40
    schedule = Schedule(
        source="test",
        start_s=0.0,
        duration_s=steps * interval_s,
        interval_s=interval_s,
        access_points=(AccessPoint("a", 0.0, 0.0),),
        clients={"c1": "one"},
        fixes=tuple(Fix("c1", k * interval_s, 10.0 * k, 0.0) for k in range(-4, steps)),
        handovers=(),
    )
    columns = [column.name for column in TABLES["predictions"]]
    rows = [
        {"client": "c1", "time_s": k * interval_s, "predicted_x_m": 10.0 * k, "predicted_y_m": 0.0}
        for k in range(steps)
    ]
    found = with_actual_positions(pd.DataFrame(rows, columns=columns), schedule)
    assert set(columns) == set(found.columns)
    assert found["error_m"].isna().sum() == 1  # the last one, of which nobody knows
    assert found["error_m"].dropna().tolist() == pytest.approx([10.0] * (steps - 1))
