"""Writes what the documentation says of columns and settings, from their descriptions in the code.

    python docs/columns.py

Each table stands between two comments, `<!-- columns of NAME: begin -->` and `... end -->`; what is
around them is written by hand. `tests/docs/test_columns.py` fails where a page says something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from testbed.decision.policies import POLICIES
from testbed.mobility.predictors import OWN_SETTINGS
from testbed.runs.tables import CAPTURE_TABLES, TABLES, Column
from testbed.settings.experiment import Experiment, settings, to_dict
from testbed.settings.kinds import described
from testbed.settings.section import Section
from testbed.settings.text import shown

HERE = Path(__file__).resolve().parent

#: Units by the ends of settings' names.
_UNITS = {
    "bps": "bit/s",
    "bytes": "bytes",
    "s": "s",
    "m": "m",
    "deg": "degrees",
    "mb": "MB",
    "intervals": "intervals",
}


def pages() -> dict[Path, str]:
    """Return the pages that have such tables, as they should be."""
    tables = {name: columns_of(table) for name, table in (TABLES | CAPTURE_TABLES).items()}
    return {
        HERE / "run-folder.md": with_tables(HERE / "run-folder.md", "columns", tables),
        HERE / "settings.md": with_tables(HERE / "settings.md", "settings", settings_tables()),
    }


def with_tables(path: Path, what: str, tables: Mapping[str, str]) -> str:
    """Return a page with every table in its place.

    Raises:
        ValueError: a table has no place in the page, or the page has one for an unknown table.
    """
    page = path.read_text(encoding="utf-8")
    named = re.findall(rf"^<!-- {what} of (\w+): begin -->$", page, re.MULTILINE)
    if sorted(named) != sorted(tables):
        wrong = ", ".join(sorted(set(named) ^ set(tables))) or "one name twice"
        raise ValueError(f"{path.name} and the code have different {what}: {wrong}")
    for name, table in tables.items():
        begin, end = (f"<!-- {what} of {name}: {mark} -->" for mark in ("begin", "end"))
        before, rest = page.split(f"{begin}\n", 1)
        _, after = rest.split(f"\n{end}", 1)
        page = f"{before}{begin}\n\n{table}\n{end}{after}"
    return page


def columns_of(table: Iterable[Column]) -> str:
    """Return the columns of a table of a run, in Markdown."""
    rows = (
        (
            f"`{column.name}`",
            column.dtype + (", nullable" if column.nullable else ""),
            column.unit or "-",
            column.meaning,
        )
        for column in table
    )
    return _markdown(("column", "type", "unit", "meaning"), rows)


def settings_tables() -> dict[str, str]:
    """Return the settings of an experiment by section, and the own ones of policies and others."""
    defaults = _flat(to_dict(Experiment(name="-")))
    rows: dict[str, list[tuple[str, ...]]] = {"run": []}
    for path, field in settings():
        section = path.partition(".")[0] if "." in path else "run"
        default = "-" if path == "name" else shown(path, defaults[path])
        rows.setdefault(section, []).append(_setting(path, field, default))
    own: list[tuple[str, str, type[Section]]] = [
        *(("policy", name, each.Settings) for name, each in POLICIES.items()),
        *(("predictor", name, each) for name, each in OWN_SETTINGS.items()),
    ]
    tables = {name: _settings_table(("setting",), each) for name, each in rows.items()}
    for kind in ("policy", "predictor"):
        tables[kind] = _settings_table((kind, "setting"), _own(kind, own))
    return tables


def _own(kind: str, own: Iterable[tuple[str, str, type[Section]]]) -> Iterator[tuple[str, ...]]:
    for its, name, section in own:
        values = msgspec.to_builtins(section())
        for path, field in settings(section, f"{its}.") if its == kind else ():
            yield (f"`{name}`", *_setting(path, field, shown(path, values[field.name])))


def _setting(path: str, field: Any, default: str) -> tuple[str, ...]:
    extra = getattr(field.type, "extra_json_schema", None) or {}
    unit = _UNITS.get(path.rpartition("_")[2], "-")
    return f"`{path}`", described(field.type), unit, default, extra.get("description", "")


def _settings_table(first: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return _markdown((*first, "may be", "unit", "default", "meaning"), rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def _markdown(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [names, ("---",) * len(names), *rows]
    return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
