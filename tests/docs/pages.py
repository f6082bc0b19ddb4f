"""The documentation's pages, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from testbed.repository import REPOSITORY

README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
PAGES = (README, REPOSITORY / "results" / "README.md", *sorted(DOCS.rglob("*.md")))

_BLOCK = re.compile(
    r"^(?:(?P<mark_indent> *)<!-- (?P<mark>.*?) -->\n)?"
    r"(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the comment on the line before it, empty where there is none."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, if it says so.

        Python says it in a first line such as `# star.py`, other languages in the mark.
        """
        if self.language == "python":
            named = re.match(r"# (\w+\.py)\n", self.text)
            return named and named[1]
        named = re.fullmatch(r"file: (\S+)", self.mark)
        return named and named[1]

    @property
    def not_run(self) -> bool:
        """Whether the mark says why the block's commands are not run."""
        return re.match(r"not run: \S", self.mark) is not None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("indent")) + 1,
            found["language"].strip(),
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            found["mark"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))
