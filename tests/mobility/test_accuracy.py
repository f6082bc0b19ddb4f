from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.accuracy import measure_accuracy
from testbed.mobility.predictors import LinearSvr, windows
from topologies.hexgrid import HexGrid
from topologies.placement import place_access_points
from traces.crawdad import load_folder
from traces.prepare import crop, split_people

KAIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "kaist"

SERVERS = np.array([(0.0, 0.0), (100.0, 0.0), (200.0, 0.0)])


def on_line(*x_m: float) -> np.ndarray:
    return np.array([(x, 0.0) for x in x_m])


def test_only_predictions_before_a_change_of_server_count_as_hits() -> None:
    accuracy = measure_accuracy(
        predicted_m=on_line(90, 10, 170, 0, 0),
        current_m=on_line(0, 0, 0, 0, 0),
        actual_m=on_line(100, 100, 100, 3, 4),
        servers_m=SERVERS,
    )
    # Of three moves to server 1, one prediction is nearest to it and all have it among their two.
    assert accuracy.top1 == pytest.approx(1 / 3)
    assert accuracy.top2 == 1
    assert accuracy.non_futile_share == pytest.approx(3 / 5)
    assert accuracy.futile_share == pytest.approx(2 / 5)
    assert accuracy.mae_m == pytest.approx((10 + 90 + 70 + 3 + 4) / 5)
    assert accuracy.n_test == 5


def test_futile_predictions_alone_have_no_hit_share() -> None:
    accuracy = measure_accuracy(on_line(0), on_line(0), on_line(1), SERVERS)
    assert math.isnan(accuracy.top1)
    assert math.isnan(accuracy.top2)
    assert accuracy.non_futile_share == 0


def test_single_server_leaves_every_prediction_futile() -> None:
    accuracy = measure_accuracy(on_line(0), on_line(0), on_line(500), SERVERS[:1])
    assert accuracy.futile_share == 1


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="0 predictions"):
        measure_accuracy(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2)), SERVERS)
    with pytest.raises(ConfigurationError, match="0 servers"):
        measure_accuracy(on_line(0), on_line(0), on_line(0), np.empty((0, 2)))


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
def test_linear_svr_on_kaist_is_as_good_as_in_table_3() -> None:
    traces = crop(load_folder(KAIST))
    placed = place_access_points(HexGrid(50.0), traces.traces)
    train, test = split_people(traces, seed=0)
    predictor = LinearSvr()
    predictor.fit(train.positions_m)
    recent, following = windows(test.positions_m, predictor.n)
    servers = np.array([(ap.x_m, ap.y_m) for ap in placed])
    accuracy = measure_accuracy(predictor.predict(recent), recent[:, -1], following, servers)
    # The paper's: 8.1 %, 54.1 %, 12.9 m; each within 4 points or metres.
    assert accuracy.top1 == pytest.approx(0.081, abs=0.04)
    assert accuracy.top2 == pytest.approx(0.541, abs=0.04)
    assert accuracy.mae_m == pytest.approx(12.9, abs=2.0)
    assert accuracy.non_futile_share == pytest.approx(0.16, abs=0.02)
