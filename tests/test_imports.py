"""Imports go one way only: the tables here are those of docs/architecture/imports.md."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from testbed.repository import REPOSITORY

#: Of one folder, `__init__.py` included.
MAX_FILES = 18
#: A list of commands that know nothing of each other: one is found by its name.
MAX_EXPERIMENTS = 24
FOLDERS = ("traces", "topologies", "controllers", "nodes", "testbed", "experiments")

#: The modules and packages inside testbed/, lowest first: each imports only from lines above its
#: own, a package also from itself. The longest name that fits counts.
LINES = (
    ("testbed.errors",),
    (
        *("testbed.arrays", "testbed.repository", "testbed.values"),
        *("testbed.clock", "testbed.exits"),
        *(
            "testbed.output",
            "testbed.terminal",
            "testbed.namespaces",
            "testbed.frames",
            "testbed.settings",
        ),
    ),
    ("testbed.plugins", "testbed.layerstore", "testbed.runs"),
    ("testbed.dnn", "testbed.mobility"),
    ("testbed.gpu",),
    ("testbed.protocol", "testbed.decision"),
    ("testbed.policies", "testbed.movement", "testbed.analysis"),
    ("testbed.settings.options", "testbed.simulation"),
    ("testbed.emulation",),
    ("testbed.checks",),
    ("testbed.launch",),
    ("testbed.studies", "testbed.sweep"),
    ("testbed.commands",),
    ("testbed.cli",),
)
_BELOW_ANALYSIS = tuple(entry for line in LINES[:6] for entry in line)

#: What else of the project a part imports besides itself; the longest name that fits counts.
#: Inside testbed/ this speaks of the sibling folders only, `LINES` of the rest.
MAY_IMPORT = {
    "traces": ("testbed.errors", "testbed.values", "testbed.arrays", "testbed.repository"),
    "topologies": (
        *("testbed.errors", "testbed.values", "testbed.arrays", "testbed.repository"),
        "testbed.settings.units",
    ),
    "controllers": ("testbed.errors",),
    "nodes": _BELOW_ANALYSIS,
    "testbed": (),
    "testbed.movement": ("traces", "topologies"),
    "testbed.simulation.links": ("topologies", "controllers"),
    "testbed.emulation": ("traces", "topologies", "controllers", "nodes"),
    "testbed.checks": ("traces", "topologies", "controllers"),
    "testbed.launch": ("traces", "topologies", "controllers"),
    "testbed.studies": ("traces",),
    "testbed.sweep": ("traces",),
    "testbed.commands": ("traces", "topologies", "controllers"),
    "experiments": ("testbed", "traces"),
}

#: Each heavy dependency has few owners; nothing else imports it.
OWNERS = {
    "torch": ("testbed.dnn", "testbed.gpu", "testbed.mobility", "nodes"),
    "sklearn": ("testbed.mobility", "testbed.gpu"),
    "igraph": ("testbed.dnn.partitioning.minimum_cut",),
    "mininet": ("topologies", "testbed.emulation"),
    "pyroute2": ("testbed.emulation",),
    "os_ken": ("controllers.framework",),
    "ryu": ("controllers.framework",),
    "matplotlib": ("testbed.analysis.figures",),
    "jinja2": ("testbed.analysis.html_report",),
    "pyproj": ("traces.projection",),
    "loky": ("testbed.sweep",),
    "distributed": ("testbed.sweep",),
    "scapy": ("testbed.analysis.captures.dissection",),
}

#: What decides, in the emulator and elsewhere alike, knows no network and needs no root.
CORE = (
    *("testbed.dnn", "testbed.gpu", "testbed.simulation", "testbed.mobility", "testbed.decision"),
)
NETWORK = ("mininet", "os_ken", "ryu", "scapy", "pyroute2", "testbed.emulation")


def modules() -> Iterator[tuple[str, Path]]:
    """Yield (dotted name, file) of every module of the project."""
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, wherever in it: modules, and names in them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


IMPORTS = {name: imports(path) for name, path in modules()}


def within(name: str, parts: Iterable[str]) -> str | None:
    """Return the longest of the parts that a dotted name is or lies in."""
    return max((p for p in parts if f"{name}.".startswith(f"{p}.")), key=len, default=None)


def line_of(name: str) -> tuple[int, str] | None:
    """Return the line of `LINES` that a name lies in, and the longest entry there that fits."""
    entry = within(name, [entry for line in LINES for entry in line])
    numbers = [number for number, line in enumerate(LINES) if entry in line]
    return (numbers[0], entry) if entry is not None else None


def breaches(allowed: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Fail with every (module, import) that is not allowed."""
    wrong = [f"{module} imports {imported}" for module, imported in pairs]
    assert not wrong, f"{allowed}:\n  " + "\n  ".join(wrong)


def test_every_module_of_the_library_has_a_line() -> None:
    """A new module is put into the table first."""
    unlisted = [n for n in IMPORTS if n.startswith("testbed.") and line_of(n) is None]
    assert not unlisted, f"add to LINES and to docs/architecture/imports.md: {', '.join(unlisted)}"


def test_library_imports_only_upwards_in_the_table() -> None:
    """Lower modules do not know higher ones."""
    pairs = []
    for module, imported in IMPORTS.items():
        here = line_of(module)
        for name in imported:
            there = line_of(name)
            if here and there and there[0] >= here[0] and there != here:
                pairs.append((module, name))
    breaches("a module imports only from lines above its own", pairs)


def test_folders_import_what_the_table_allows() -> None:
    """The sibling folders keep their distance from the library, and it from them."""
    pairs = []
    for module, imported in IMPORTS.items():
        part = within(module, MAY_IMPORT)
        folder = module.partition(".")[0]
        assert part is not None
        for name in imported:
            inside = name.partition(".")[0]
            if inside not in FOLDERS or inside == folder:
                continue
            if within(name, MAY_IMPORT[part]) is None:
                pairs.append((module, name))
    breaches("a folder imports only what its line allows", pairs)


@pytest.mark.parametrize("package", OWNERS)
def test_heavy_dependency_stays_with_its_owners(package: str) -> None:
    """One owner can be replaced, or loaded only where it is needed."""
    owners = OWNERS[package]
    breaches(
        f"{package} is imported only by {', '.join(owners) or 'tests'}",
        (
            (module, name)
            for module, imported in IMPORTS.items()
            for name in imported
            if within(name, [package]) and not within(module, owners)
        ),
    )


def test_core_reaches_no_network_by_any_way() -> None:
    """Not even through what it imports."""
    for module in (name for name in IMPORTS if within(name, CORE)):
        reached, ahead = {module}, [module]
        while ahead:
            for name in IMPORTS[ahead.pop()]:
                assert not within(name, NETWORK), f"{module} reaches {name}"
                target = within(name, IMPORTS)
                if target and target not in reached:
                    reached.add(target)
                    ahead.append(target)


def test_topologies_load_in_the_systems_python() -> None:
    """`mn --custom FILE` runs without the project's packages."""
    for module, path in modules():
        if module.startswith("topologies.") and "\ntopos = " in path.read_text():
            known = {"mininet", *sys.stdlib_module_names}
            strange = {n for n in IMPORTS[module] if n.partition(".")[0] not in known}
            assert not strange, f"{module} imports {strange}"


def test_controllers_library_and_framework_are_apart() -> None:
    """The flow tables are computed without the OpenFlow framework, so tests need no switch."""
    for module in ("controllers.routes", "controllers.northbound", "controllers.named"):
        assert not any(within(name, ["controllers.framework"]) for name in IMPORTS[module])


def test_commands_are_nobodys_library() -> None:
    """What commands and experiments share lies below both."""
    breaches(
        "only the command line imports commands",
        (
            (module, name)
            for module, imported in IMPORTS.items()
            for name in imported
            if within(name, ["testbed.commands"])
            and not within(module, ["testbed.commands", "testbed.cli"])
        ),
    )


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not even inside functions, where Python would let it pass."""
    graph = {
        module: {target for name in imported if (target := within(name, IMPORTS))} - {module}
        for module, imported in IMPORTS.items()
    }
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_every_folder_has_few_files() -> None:
    """A folder that grows beyond sight is two rooms."""
    files = Counter(path.parent for _, path in modules())
    experiments = files.pop(REPOSITORY / "experiments")
    assert experiments <= MAX_EXPERIMENTS
    crowded = {
        str(folder.relative_to(REPOSITORY)): n for folder, n in files.items() if n > MAX_FILES
    }
    assert not crowded, f"split these folders: {crowded}"
