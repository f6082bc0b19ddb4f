"""The switches' counters beside the captures."""

from __future__ import annotations

import pandas as pd
import pytest

from testbed.analysis.traffic.confirmation import checks, contradictions
from testbed.analysis.traffic.witness import COLUMNS, compare_witnesses

#: 20 bytes of Linux cooked header in the capture, 14 of Ethernet at the switch
FLOWS = pd.DataFrame(
    [("ap1", "uplink", 10, 10_000), ("ap1", "uplink", 5, 1_000), ("ap1", "downlink", 5, 400)],
    columns=["interface", "direction", "packets", "captured_bytes"],
)


def counters(*readings: tuple[float | None, str, int, int]) -> pd.DataFrame:
    columns = ["time_s", "neighbour", "rx_bytes", "tx_bytes"]
    return pd.DataFrame(readings, columns=columns).astype({"time_s": "float64"})


def test_what_was_counted_between_the_first_and_the_last_reading_is_compared():
    table = compare_witnesses(
        FLOWS,
        counters((30.0, "ap1", 9_000, 500), (None, "ap1", 1_000, 100), (60.0, "ap1", 11_910, 470)),
        ["ap1", "ap2"],
    ).set_index("direction")
    assert list(table.reset_index()[COLUMNS].columns) == COLUMNS
    assert table.loc["uplink", "captured_bytes"] == 11_000 - 15 * 6
    assert table.loc["uplink", "counted_bytes"] == 10_910
    assert table.loc["uplink", "difference_share"] == 0
    assert table.loc["downlink", "difference_share"] == 0


def test_a_difference_is_a_share_of_what_was_counted():
    table = compare_witnesses(
        FLOWS, counters((None, "ap1", 0, 0), (60.0, "ap1", 20_000, 0)), ["ap1"]
    ).set_index("direction")
    assert table.loc["uplink", "difference_share"] == pytest.approx(10_910 / 20_000 - 1)
    assert pd.isna(table.loc["downlink", "difference_share"])


def test_ports_between_switches_and_idle_servers_are_left_out():
    table = compare_witnesses(
        FLOWS,
        counters(
            *((None, name, 0, 0) for name in ("ap1", "ap2", "s1")),
            *((60.0, name, size, 0) for name, size in (("ap1", 5), ("ap2", 0), ("s1", 99))),
        ),
        ["ap1", "ap2"],
    )
    assert set(table["server"]) == {"ap1"}


def test_checks_are_told_in_words():
    witness = compare_witnesses(
        FLOWS, counters((None, "ap1", 0, 0), (60.0, "ap1", 10_910, 370)), ["ap1"]
    )
    reconciliation = pd.DataFrame({"difference_bytes": [0, -5], "bytes": [1000, 1000]})
    reconciled, counted = checks(reconciliation, witness)
    assert "1 of 2 migrations are reconciled" in reconciled
    assert "not explained" in reconciled
    assert "differ by +0.000%" in counted
    (whole,) = checks(reconciliation[:1], None)
    assert whole.endswith("to the byte.")
    assert list(checks(None, None)) == list(checks(reconciliation[:0], None)) == []


@pytest.mark.parametrize(("left", "contradict"), [(90_000_000, 1), (9_000_000, 0), (0, 0)])
def test_what_differs_by_more_than_a_hundredth_contradicts(left, contradict):
    reconciliation = pd.DataFrame({"difference_bytes": [left, 0], "bytes": [500_000_000] * 2})
    witness = pd.DataFrame(
        {"captured_bytes": [10**9 - left, 10**9], "counted_bytes": [10**9, 10**9 + left // 9]}
    )
    assert len(list(contradictions(reconciliation, None))) == contradict
    assert len(list(contradictions(None, witness))) == contradict
    assert list(contradictions(None, None)) == []


def test_little_that_is_left_open_is_no_contradiction():
    few = pd.DataFrame({"difference_bytes": [-900_000], "bytes": [900_000]})
    assert list(contradictions(few, None)) == []


def test_packets_at_no_server_of_the_run_are_not_compared():
    counted = counters((None, "ap1", 0, 0), (60.0, "ap1", 10_910, 370))
    table = compare_witnesses(FLOWS.assign(interface="wlan0"), counted, ["ap1"])
    assert table["captured_bytes"].tolist() == [0, 0]
