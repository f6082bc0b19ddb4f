"""How far a run's traffic is confirmed, in words: by the applications, and by the switches."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from testbed.settings.units import format_size

_TRUSTED_SHARE = 0.01  # of the bytes: what captures may differ by from what others counted
_MATTERS_BYTES = 1_000_000


def contradictions(
    reconciliation: pd.DataFrame | None, witness: pd.DataFrame | None
) -> Iterator[str]:
    """Yield where a run's captures cannot be the whole truth."""
    if reconciliation is not None:
        left = int(reconciliation["difference_bytes"].abs().sum())
        if _matters(left, int(reconciliation["bytes"].sum())):
            yield f"captures do not explain the migrations: {_reconciled(reconciliation)}"
    if witness is not None:
        counted = int(witness["counted_bytes"].sum())
        left = int((witness["captured_bytes"] - witness["counted_bytes"]).abs().sum())
        if _matters(left, counted):
            yield (
                f"the captures differ by {format_size(left)} from the {format_size(counted)} that"
                " the switches counted"
            )


def _matters(left: int, whole: int) -> bool:
    return left > max(_MATTERS_BYTES, _TRUSTED_SHARE * whole)


def checks(reconciliation: pd.DataFrame | None, witness: pd.DataFrame | None) -> Iterator[str]:
    """Yield a sentence for each check that the run has the tables for."""
    if reconciliation is not None and len(reconciliation):
        yield _reconciled(reconciliation)
    if witness is not None and witness["counted_bytes"].sum() > 0:
        counted = int(witness["counted_bytes"].sum())
        share = int(witness["captured_bytes"].sum()) / counted - 1
        yield (
            f"The switches counted {format_size(counted)} at the edge servers' ports; the captures"
            f" differ by {share:+.3%}."
        )


def _reconciled(table: pd.DataFrame) -> str:
    exact = int((table["difference_bytes"] == 0).sum())
    sentence = f"{exact} of {len(table)} migrations are reconciled with the captures to the byte"
    if exact == len(table):
        return sentence + "."
    left = int(table["difference_bytes"].abs().sum())
    sent = int(table["bytes"].sum())
    return f"{sentence}; {format_size(left)} of {format_size(sent)} are not explained."
