"""`testbed clean` removes what earlier runs left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.emulation.sandbox import cleanup


def test_clean_needs_root(testbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup.os, "geteuid", lambda: 1000)
    ended = testbed("clean", "--json")
    assert (ended.status, ended.out) == (3, "")
    assert "sudo" in ended.err


def test_clean_prints_what_it_removed(testbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = cleanup.Cleaned((12,), (Path("/run/x/1-a"),), (Path("/run/x/2-b"),))
    monkeypatch.setattr(cleanup, "clean", lambda: cleaned)
    assert testbed("clean", "--json").json == {
        "sandboxes": [12],
        "folders": ["/run/x/1-a"],
        "kept": ["/run/x/2-b"],
    }
    assert "/run/x/1-a" in testbed("clean").out
