"""Migrations reconciled with the captures."""

from __future__ import annotations

import pandas as pd

from testbed.analysis.traffic.reconciliation import COLUMNS, reconcile

SERVERS = {"10.0.0.1": "ap1", "10.0.0.2": "ap2"}


def transfer(**changes) -> dict:
    row = {
        "client": "c1",
        "source": "ap1",
        "destination": "ap2",
        "cause": "migration",
        "started_s": 10.0,
        "source_port": 40000,
        "bytes": 9000,
        "frame_bytes": 300,
        "unsent_bytes": 0,
    }
    return row | changes


def flow(**changes) -> dict:
    row = {
        "interface": "ap1",
        "direction": "uplink",
        "src": "10.0.0.1",
        "src_port": 40000,
        "dst": "10.0.0.2",
        "dst_port": 7003,
        "started_s": 10.1,
        "bytes": 11_000,
        "payload_bytes": 9300,
        "retransmitted_bytes": 0,
        "missing_bytes": 0,
    }
    return row | changes


def reconciled(transfers: list[dict], flows: list[dict]) -> pd.DataFrame:
    empty = pd.DataFrame(columns=list(flow()))
    return reconcile(pd.DataFrame(transfers), pd.DataFrame(flows) if flows else empty, SERVERS)


def test_what_was_sent_once_is_explained_to_the_byte():
    table = reconciled([transfer()], [flow()])
    assert list(table.columns) == COLUMNS
    assert table["difference_bytes"].tolist() == [0]
    assert table["header_bytes"].tolist() == [1700]
    assert table["captured"].tolist() == [True]


def test_each_term_explains_its_part():
    table = reconciled(
        [transfer(unsent_bytes=400)],
        [flow(payload_bytes=9300 - 400 + 1000 - 250, retransmitted_bytes=1000, missing_bytes=250)],
    )
    assert table["difference_bytes"].tolist() == [0]


def test_what_nothing_explains_is_left_over():
    assert reconciled([transfer()], [flow(payload_bytes=9299)])["difference_bytes"].tolist() == [-1]


def test_a_migration_that_was_not_captured_is_said_to_be():
    table = reconciled([transfer()], [])
    assert table["captured"].tolist() == [False]
    assert table["difference_bytes"].tolist() == [-9300]


def test_ports_that_come_round_again_are_told_apart_by_time():
    table = reconciled(
        [transfer(started_s=500.0, bytes=100), transfer()],
        [flow(), flow(started_s=500.02, payload_bytes=400)],
    )
    assert table["payload_bytes"].tolist() == [400, 9300]
    assert table["difference_bytes"].tolist() == [0, 0]


def test_only_migrations_at_their_senders_are_compared():
    table = reconciled(
        [transfer(), transfer(cause="upload", source="c1")],
        [flow(interface="ap2", direction="downlink", payload_bytes=1), flow()],
    )
    assert table["difference_bytes"].tolist() == [0]


def test_a_run_without_migrations_has_an_empty_table():
    assert reconciled([transfer(cause="upload")], [flow()]).empty
