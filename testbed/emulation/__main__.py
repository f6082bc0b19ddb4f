"""The first process of a sandbox: `python -m testbed.emulation RUN_FOLDER [--cli] [--json]`."""

from __future__ import annotations

import sys

from testbed.errors import EXIT_INTERRUPTED

if __name__ == "__main__":
    try:
        from testbed.emulation.emulate import emulate  # takes a second, in which Ctrl-C is heard
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(emulate(*sys.argv[1:]))
