"""The documentation builds as a site, with warnings as errors and without a network."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS

NEEDED = ("sphinx", "furo", "myst_parser")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{', '.join(missing)}: not installed")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"),
            *("--builder", "html", "--doctree-dir", tmp_path / "doctrees"),
            *(DOCS, tmp_path / "site"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "site" / "glossary.html").is_file()
    assert (tmp_path / "site" / "_images" / "query_times.png").is_file()
