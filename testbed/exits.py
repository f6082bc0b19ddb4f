"""How commands end: with the documented status, and an error's message alone."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import NoReturn

from testbed.errors import EXIT_INTERRUPTED, EXIT_UNREAD, TestbedError


def exit_with(action: Callable[[], int]) -> NoReturn:
    """End the process with the status of an action, or of the error that it raised."""
    try:
        status = action()
        sys.stdout.flush()
        sys.exit(status)
    except TestbedError as error:
        from rich.console import Console  # --help and success do without
        from rich.markup import escape

        text = f"[red]error:[/red] {escape(str(error))}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        if not _is_unread(sys.stdout.fileno()):
            raise
        # What is left in the buffer would be written, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)


def _is_unread(descriptor: int) -> bool:
    """Return whether this is a pipe whose reader has gone, as behind `| head`."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
