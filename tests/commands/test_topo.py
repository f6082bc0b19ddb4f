"""`testbed topo` prints a topology."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_topology_is_printed(testbed: Any) -> None:
    content = testbed("topo", "tree", "--access-points", "3", "--json").json
    assert content["hosts"] == ["ap1", "ap2", "ap3", "master"]
    assert {"a": "ap1", "b": "s2", "rate_bps": 1e9} in content["links"]
    assert "1.0 Gbit/s" in testbed("topo", "ring").out


@pytest.mark.parametrize("arguments", [["bush"], ["tree", "--access-points", "0"], ["no.py:x"]])
def test_topo_refuses(testbed: Any, arguments: list[str]) -> None:
    ended = testbed("topo", *arguments)
    assert (ended.status, ended.out) == (2, "")
