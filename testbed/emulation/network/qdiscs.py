"""Queueing disciplines, set in one way: `tc`, in the network namespace of the calling thread."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

from testbed.emulation.sandbox import background

_TRY_S = 10.0


def set_qdiscs(lines: Iterable[str], interfaces: Iterable[str]) -> None:
    """Carry out lines of `tc -batch`, which concern these interfaces; EmulationError if refused."""
    failing = f"tc cannot shape {', '.join(interfaces)}"
    background.run(["tc", "-batch", "-"], failing, given="\n".join(lines) + "\n")


def redirect_lines(one: str, other: str) -> list[str]:
    """Return the lines that have whatever comes in at one interface leave by the other."""
    return [
        f"qdisc add dev {one} ingress",
        f"filter add dev {one} parent ffff: protocol all u32 match u32 0 0 "
        f"action mirred egress redirect dev {other}",
    ]


def try_qdisc(*qdisc: str) -> str | None:
    """Return why the kernel has no such queueing discipline, or None if it has."""
    return refusal_of(["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", *qdisc])


def refusal_of(command: Sequence[str]) -> str | None:
    """Return the first thing that a failing command says, or None if it succeeds."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_TRY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if result.returncode == 0:
        return None
    lines = result.stderr.strip().splitlines()
    return lines[0] if lines else f"{command[0]} ended with status {result.returncode}"
