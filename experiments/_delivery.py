"""How an experiment that compares things hands over what it found."""

from __future__ import annotations

import json
import sys
from typing import Any

from testbed.commands.output import print_json
from testbed.runfolder import RunFolder

Row = dict[str, Any]


def deliver(folder: RunFolder, rows: list[Row], as_json: bool, **more: list[Row]) -> None:
    """Keep rows in the folder, and print them if they are asked for as JSON."""
    content = {"rows": rows} | more
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder.path / "rows.json").write_text(text, encoding="utf-8")
    if as_json:
        print_json(content)


def say(text: str) -> None:
    """Tell people something beside the rows."""
    sys.stderr.write(text + "\n")
