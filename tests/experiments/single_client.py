"""Rows of the experiments with one client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.experiments.scripts import printed

MODELS = ["mobilenet", "inception", "resnet"]


def rows_of(name: str, out: Path, *arguments: str) -> list[dict[str, Any]]:
    return printed(name, out, *arguments)["rows"]


def chosen(rows: list[dict[str, Any]], **wanted: object) -> dict[str, dict[str, Any]]:
    """Return the one row of each model that has these values."""
    found = [row for row in rows if wanted.items() <= row.items()]
    assert [row["model"] for row in found] == MODELS
    return {row["model"]: row for row in found}
