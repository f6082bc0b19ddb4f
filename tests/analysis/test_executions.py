"""Which queries were computed: those whose every segment was executed and gave the same."""

from __future__ import annotations

import pandas as pd
import pytest

from testbed.analysis.executions import computed_share, with_executions
from testbed.runs.tables import CAPTURE_TABLES

LAYERS = 10


def executed(query: int, node: str, first: int, last: int, **changes: object) -> dict[str, object]:
    row = {"client": "c1", "query": query, "node": node, "first_layer": first, "last_layer": last}
    return row | {"whole": False, "equal": True} | changes


def queries(*at_client: int, compute: str = "memo") -> pd.DataFrame:
    """Queries of a client, the first layers executed there and the rest at a server."""
    return pd.DataFrame(
        {
            "client": "c1",
            "query": range(len(at_client)),
            "executed_layers_client": at_client,
            "executed_layers_server": [LAYERS - count for count in at_client],
            "compute": compute,
            "computed": pd.array([None if compute == "memo" else True] * len(at_client), "boolean"),
            "verified": pd.array([None] * len(at_client), "boolean"),
        }
    )


def executions(*rows: dict[str, object]) -> pd.DataFrame:
    columns = [column.name for column in CAPTURE_TABLES["executions"]]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"whole": bool, "equal": bool})


def test_a_query_is_computed_if_all_of_its_segments_were() -> None:
    rows = [
        executed(0, "ap1", 0, 9),  # all of it
        executed(1, "c1", 0, 3),  # the server's part is missing
        executed(2, "c1", 0, 3),
        executed(2, "ap1", 4, 9),
        executed(3, "ap1", 0, 9, equal=False),
        executed(4, "ap1", 0, 9),  # but the client executed some of it, later on
    ]
    found = with_executions(queries(0, 4, 4, 0, 2, 10), executions(*rows))
    assert found["computed"].tolist() == [True, False, True, False, False, False]
    assert found["verified"].isna().all()
    assert computed_share(found) == pytest.approx(2 / 6)


def test_a_whole_query_once_more_verifies_it_and_computes_nothing() -> None:
    rows = [executed(0, "c1", 0, 9, whole=True), executed(1, "c1", 0, 9, whole=True, equal=False)]
    found = with_executions(queries(0, 10, 0), executions(*rows))
    assert found["verified"].tolist() == [True, False, pd.NA]
    assert not found["computed"].any()


def test_what_was_not_replayed_is_left_as_it_is() -> None:
    found = with_executions(queries(0, 10, compute="real"), executions())
    assert found["computed"].all()
    assert computed_share(queries()) == 0.0
