"""A topology as data: its nodes and links, read in a process of its own.

Whoever only looks at a topology needs neither Mininet, nor a user's file in their own process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from testbed.errors import ConfigurationError, TopologyError, unknown_name
from testbed.repository import REPOSITORY
from testbed.settings.units import parse_time

#: Topologies of the project, by name, and the modules that hold them.
BUILT_IN = {"tree": "topologies.tree", "ring": "topologies.ring"}

_PLAIN = (str, int, float, bool)


class Layout(msgspec.Struct, frozen=True):
    """What a Mininet `Topo` holds, and how it is asked for it."""

    host_names: tuple[str, ...]
    switch_names: tuple[str, ...]
    #: Both ends, and `node1`, `port1`, `node2`, `port2`, `bw`, `delay` and the like.
    cables: tuple[tuple[str, str, dict[str, Any]], ...]

    @classmethod
    def of(cls, topo: Any) -> Layout:
        """Return the layout of a `Topo`; what is no plain value of a link is left out."""
        cables = [
            (a, b, {key: value for key, value in details.items() if isinstance(value, _PLAIN)})
            for a, b, details in topo.links(withInfo=True)
        ]
        return cls(tuple(topo.hosts()), tuple(topo.switches()), tuple(cables))

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts' names."""
        return self.host_names

    def switches(self) -> tuple[str, ...]:
        """Return the switches' names."""
        return self.switch_names

    def links(self, *, withInfo: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:  # noqa: N803
        """Yield the links, always with what is known of them."""
        yield from self.cables


def layout_of(spec: str, access_points: Sequence[str]) -> Layout:
    """Return the topology "NAME" (built in), "FILE.py:NAME" or "FILE.py" for these access points.

    Raises TopologyError if there is none, or it cannot be built for them.
    """
    check_name(spec)
    folders = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = subprocess.run(
        [sys.executable, "-m", "topologies.building", spec],
        input=msgspec.json.encode(access_points),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        check=False,
    )
    if not ended.stdout:
        raise TopologyError(f"topology {spec}: its process ended with status {ended.returncode}")
    answer: Layout | str = msgspec.json.decode(ended.stdout, type=Layout | str)
    if isinstance(answer, str):
        raise TopologyError(answer)
    return answer


def check_name(spec: str) -> None:
    """Raise TopologyError for a name that is neither built in nor that of a file."""
    if ".py" not in spec and spec not in BUILT_IN:
        raise TopologyError(
            unknown_name("topology", spec, BUILT_IN) + "; or give a file as FILE.py:NAME"
        )


def topology_delay_s(params: Mapping[str, Any]) -> float:
    """Return the delay that a topology gives a link as Mininet's `delay`, such as "5ms".

    Raises TopologyError if it is not a time.
    """
    try:
        return parse_time(str(params["delay"])) if params.get("delay") is not None else 0.0
    except ConfigurationError as error:
        raise TopologyError(f"a link's delay: {error}") from error
