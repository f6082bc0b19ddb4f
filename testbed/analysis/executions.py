"""Which queries were computed, by what the execution pools have recorded."""

from __future__ import annotations

import pandas as pd


def with_executions(queries: pd.DataFrame, executions: pd.DataFrame) -> pd.DataFrame:
    """Return the queries of a run in which answers were replayed, with `computed` and `verified`.

    A query is computed if every layer that a node executed for it was executed in PyTorch from what
    the node had, and gave what it had handed out.
    """
    pieces = executions[~executions["whole"]]
    layers = pieces["last_layer"] - pieces["first_layer"] + 1
    at_client = pieces["node"] == pieces["client"]
    found = (
        pd.DataFrame(
            {
                "client": pieces["client"],
                "query": pieces["query"],
                "at_client": layers.where(at_client, 0),
                "at_server": layers.where(~at_client, 0),
                "equal": pieces["equal"],
            }
        )
        .groupby(["client", "query"])
        .agg({"at_client": "sum", "at_server": "sum", "equal": "all"})
        .reindex(each := pd.MultiIndex.from_frame(queries[["client", "query"]]))
        .fillna({"at_client": -1, "at_server": -1, "equal": False})  # where none was executed
    )
    computed = (
        (found["at_client"].to_numpy(int) >= queries["executed_layers_client"].to_numpy())
        & (found["at_server"].to_numpy(int) >= queries["executed_layers_server"].to_numpy())
        & found["equal"].to_numpy(bool)
    )
    whole = executions[executions["whole"]].groupby(["client", "query"])["equal"].all()
    verified = whole.reindex(each)
    replayed = queries["compute"] == "memo"
    return queries.assign(
        computed=queries["computed"].where(~replayed, computed).astype("boolean"),
        verified=pd.array(verified.to_numpy(object), dtype="boolean"),
    )


def computed_share(queries: pd.DataFrame) -> float:
    """Return the share of queries whose every segment was computed, 0 to 1."""
    return float(queries["computed"].fillna(False).astype(bool).mean()) if len(queries) else 0.0
