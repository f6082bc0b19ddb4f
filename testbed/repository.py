"""Where the project's own files lie."""

from __future__ import annotations

from pathlib import Path

#: The checkout. Modules of a user's own lie here, from where the commands are called.
REPOSITORY = Path(__file__).resolve().parents[1]
#: Where folders of results go that nobody names.
RESULTS = REPOSITORY / "results"
