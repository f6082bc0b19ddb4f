"""A topology for a run's access points: found by its name or in a file, built and checked.

    python -m topologies.building SPEC < names.json

prints it as data, for `topologies.layout`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from mininet.topo import Topo

from testbed.errors import TopologyError, unknown_name
from testbed.values import MASTER
from topologies.layout import BUILT_IN, Layout, check_name, topology_delay_s


def find_topology(spec: str) -> type[Topo]:
    """Return the topology's class for "NAME" (built in), "FILE.py:NAME" or "FILE.py".

    A file without a name must have exactly one entry in its `topos`. Raises TopologyError.
    """
    file, separator, name = spec.partition(".py")
    if not separator:
        check_name(spec)
        return _entry(importlib.import_module(BUILT_IN[spec]), spec, "built-in")
    if name and not name.startswith(":"):
        raise TopologyError(f"topology {spec!r}: write FILE.py or FILE.py:NAME")
    path = Path(file + ".py")
    return _entry(_load(path), name[1:], str(path))


def _load(path: Path) -> ModuleType:
    """Import a user's file, whose code may fail in any way."""
    if not path.is_file():
        raise TopologyError(f"topology file {path} does not exist")
    specification = importlib.util.spec_from_file_location(f"topology_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise TopologyError(f"topology file {path} is no Python source file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise TopologyError(f"topology file {path} cannot be imported: {reason}") from error
    return module


def _entry(module: ModuleType, name: str, where: str) -> type[Topo]:
    topos: dict[str, Any] | None = getattr(module, "topos", None)
    if not isinstance(topos, dict) or not topos:
        raise TopologyError(
            f"topology file {where} has no dictionary `topos`;"
            " end it with for example: topos = {'mine': MyTopo}"
        )
    if not name and len(topos) > 1:
        raise TopologyError(
            f"topology file {where} has several topologies ({', '.join(sorted(topos))});"
            f" write {where}:NAME"
        )
    name = name or next(iter(topos))
    if name not in topos:
        raise TopologyError(f"{where}: {unknown_name('topology', name, topos)}")
    topology = topos[name]
    if not (isinstance(topology, type) and issubclass(topology, Topo)):
        raise TopologyError(f"{where}: topology {name!r} is no subclass of mininet.topo.Topo")
    return topology


def build_topo(topology: type[Topo], access_points: Sequence[str]) -> Topo:
    """Return the topology for these access points.

    Raises TopologyError if it lacks one of them or the master, or a host has not exactly one link.
    """
    try:
        topo = topology(access_points=list(access_points))
    except Exception as error:  # a user's code may fail in any way
        raise TopologyError(
            f"{topology.__name__}.build(access_points=[...names...]) fails: "
            f"{type(error).__name__}: {error}"
        ) from error
    hosts = set(topo.hosts())
    if missing := {*access_points, MASTER} - hosts:
        raise TopologyError(f"{topology.__name__} has no host {', '.join(sorted(missing))}")
    for *_, details in topo.links(withInfo=True):
        topology_delay_s(details)  # checks it
    for host in hosts:
        if (links := sum(host in ends for ends in topo.links())) != 1:
            raise TopologyError(f"{topology.__name__}: host {host} has {links} links, not one")
    return topo


def main() -> int:
    """Print the layout of a topology, or why there is none."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a user's file prints is no answer
    access_points = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    try:
        answer: Layout | str = Layout.of(build_topo(find_topology(sys.argv[1]), access_points))
    except TopologyError as error:
        answer = str(error)
    with os.fdopen(answers, "wb") as out:
        out.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
