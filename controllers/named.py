"""Finding a controller by its name or file, as the arguments that start it."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.errors import ConfigurationError, unknown_name

BUILT_IN = {"shortest_path": "controllers.shortest_path"}


def find_controller(spec: str) -> list[str]:
    """Return the command that starts the controller NAME (built in) or FILE.py.

    The caller appends `--network FILE --northbound PATH --address IP --port N`, which a user's own
    controller takes as well. Raises ConfigurationError.
    """
    if spec in BUILT_IN:
        return [sys.executable, "-m", BUILT_IN[spec]]
    if not spec.endswith(".py"):
        raise ConfigurationError(
            unknown_name("controller", spec, BUILT_IN) + "; or give a file as FILE.py"
        )
    if not Path(spec).is_file():
        raise ConfigurationError(f"controller file {spec} does not exist")
    return [sys.executable, str(Path(spec).resolve())]
