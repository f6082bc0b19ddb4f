"""Finding a topology by its name, or in a file that Mininet's `--custom` would take."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from mininet.topo import Topo

from testbed.errors import TopologyError, unknown_name

BUILT_IN = {"tree": "topologies.tree", "ring": "topologies.ring"}


def find_topology(spec: str) -> type[Topo]:
    """Return the topology's class for "NAME" (built in), "FILE.py:NAME" or "FILE.py".

    A file without a name must have exactly one entry in its `topos`. Raises TopologyError.
    """
    file, separator, name = spec.partition(".py")
    if not separator:
        if spec not in BUILT_IN:
            raise TopologyError(
                unknown_name("topology", spec, BUILT_IN) + "; or give a file as FILE.py:NAME"
            )
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
        raise TopologyError(
            f"topology file {path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
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
