"""The exceptions that a user can act on; each message says what failed, with which values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_COMPLETE = 0
EXIT_BAD_CONFIGURATION = 2
EXIT_MACHINE_UNFIT = 3
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141  # as a program that SIGPIPE ends


class TestbedError(Exception):
    """Any failure that the testbed foresees; `exit_status` is what a command ends with."""

    exit_status = 1
    __test__ = False  # keeps pytest from collecting a class whose name starts with Test


class ConfigurationError(TestbedError):
    """A setting, a name or an input file that cannot be used."""

    exit_status = EXIT_BAD_CONFIGURATION


class TraceError(ConfigurationError):
    """A trace that cannot be read; the message names file and line."""


class ModelError(ConfigurationError):
    """A DNN model that cannot be found, built or captured as a layer graph."""


class TopologyError(ConfigurationError):
    """A topology file without a usable `topos` entry, or one that leaves a host unconnected."""


class CaptureError(ConfigurationError):
    """A file that is no packet capture, or one of a link type that is not understood."""


class MachineError(TestbedError):
    """The machine lacks something that the run needs (see `testbed doctor`)."""

    exit_status = EXIT_MACHINE_UNFIT


class EmulationError(TestbedError):
    """Bringing the network up, or running on it, failed."""


class ProtocolError(TestbedError):
    """Bytes from a socket that are no valid frame or exceed its bounds."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return "unknown KIND 'NAME'; did you mean ...? Known: ..." for an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r};{hint} known: {', '.join(names)}"
