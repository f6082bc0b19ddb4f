"""The pages say of columns and settings what the code declares."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.docs.pages import DOCS


@pytest.fixture(scope="module")
def columns() -> ModuleType:
    specification = importlib.util.spec_from_file_location("columns", DOCS / "columns.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_pages_have_every_column_and_setting_as_declared(columns: ModuleType) -> None:
    for page, content in columns.pages().items():
        assert page.read_text(encoding="utf-8") == content, f"run: python docs/columns.py ({page})"


def test_a_table_without_a_place_is_named(columns: ModuleType) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        columns.with_tables(DOCS / "run-folder.md", "columns", {"nowhere": ""})
