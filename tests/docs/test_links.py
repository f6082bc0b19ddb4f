"""What the documentation names is there: links, anchors, pictures and files; pages stay short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.repository import REPOSITORY
from tests.docs.pages import DOCS, PAGES, README, prose

README_LINES = 150
ARCHITECTURE_LINES = 200

_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_FOLDERS = (
    *("benchmarks", "controllers", "docs", "experiments", "nodes"),
    *("tests", "testbed", "topologies", "traces"),
)
_FILE = re.compile(rf"(?:{'|'.join(_FOLDERS)})/[\w./-]*[\w/]")
#: What users have or make, and is not in the repository.
_NOT_HERE = ("traces/data/",)

named = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    found = set()
    for heading in _HEADING.findall(prose(page)):
        text = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(text.replace(" ", "-"))
    return found


@named
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken, f"{page}: {', '.join(broken)}"


@named
def test_every_file_of_the_project_that_is_named_exists(page: Path) -> None:
    names = [code for _, code in _CODE.findall(prose(page))]
    files = {file for name in names if (file := name.split()[-1]) and _FILE.fullmatch(file)}
    files = {file for file in files if not file.startswith(_NOT_HERE) and "NAME" not in file}
    missing = sorted(file for file in files if not (REPOSITORY / file).exists())
    assert not missing, f"{page}: {', '.join(missing)}"


def test_every_name_on_the_page_of_places_is_defined_in_its_file() -> None:
    missing = []
    for line in (DOCS / "where.md").read_text().splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.split("|")]
        if len(cells) == 5 and cells[2] and cells[3]:
            code = "\n".join(
                (REPOSITORY / file).read_text() for file in cells[2] if file.endswith(".py")
            )
            missing += [
                name
                for name in cells[3]
                if not re.search(rf"^(?:class |(?:async )?def )?{name}\b", code, re.MULTILINE)
            ]
    assert not missing


def test_pages_stay_short() -> None:
    limits = {README: README_LINES}
    limits |= dict.fromkeys((DOCS / "architecture").glob("*.md"), ARCHITECTURE_LINES)
    lengths = {page: len(page.read_text(encoding="utf-8").splitlines()) for page in limits}
    long = {page.name: lines for page, lines in lengths.items() if lines > limits[page]}
    assert not long
