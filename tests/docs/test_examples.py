"""Every example of the documentation that can run in virtual time does, as it is written there.

Files that a page shows are written to a folder of its own. The page's commands are run there, in
small: few people, a short window. A shell block that is not run needs root, or has a mark on the
line before it that says why not.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from testbed.repository import REPOSITORY
from tests.docs.pages import PAGES, Block, blocks

SHELL = "sh"
LANGUAGES = (SHELL, "python", "json", "text", "{toctree}")

#: Stand for a new folder, and for traces of few people.
OUT, TRACES = "OUT", "TRACES"
WINDOW = ("--traces", TRACES, "--clients", "2", "--duration", "90", "--out", OUT)
PEOPLE, SAMPLES, STEP_S = 6, 60, 30
#: What makes a command small, and keeps the user's results out of it, by how the command begins.
SMALL: dict[tuple[str, ...], tuple[str, ...]] = {
    ("experiments/kaist_inception.py",): WINDOW,
    ("my_experiment.py",): WINDOW,
    ("experiments/table3_predictors.py",): ("--traces", TRACES, "--splits", "1", "--out", OUT),
    ("testbed", "sweep"): ("--traces", TRACES, "--out", OUT),
    ("testbed", "predict"): ("--traces", TRACES),
    ("testbed", "traces", "describe"): (TRACES,),
    ("testbed", "traces", "describe", "walks.csv"): (),
}
#: Options that mean something on real sockets alone.
EMULATED = {"--cli", "--machines", "--controller", "--compute", "--tdf"}


class Command(NamedTuple):
    """The words of a command, without its interpreter, and whether sudo calls it."""

    words: tuple[str, ...]
    root: bool


def commands(block: Block) -> list[Command]:
    """Return the commands of a shell block."""
    found = []
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        words = shlex.split(line, comments=True)
        root = words[:1] == ["sudo"]
        words = words[1:] if root else words
        if words[:1] in (["python"], [".venv/bin/python"]):
            words = words[1:]
        elif words[:1] == [".venv/bin/testbed"]:
            words = ["testbed", *words[1:]]
        if words:
            found.append(Command(tuple(words), root))
    return found


def in_virtual_time(command: Command) -> tuple[str, ...] | None:
    """Return the words that run a command in small, or None where only root can run it."""
    words = command.words
    if command.root:
        if words[0] != "experiments/kaist_inception.py" or EMULATED & set(words):
            return None
        words = (*words, "--engine", "simulate")
    if "--help" in words:
        return words
    begins = [start for start in SMALL if words[: len(start)] == start]
    if begins:
        return (*words, *SMALL[max(begins, key=len)])
    return (*words, "--out", OUT) if words[0].startswith("experiments/") else words


class Forks:
    """A process that carries out commands in forks of itself."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # quickest for networks this small
        )

    def run(self, words: Sequence[str], folder: Path) -> tuple[int, str]:
        """Return a command's exit status, and what it printed."""
        output = folder / "output.txt"
        request = {"words": words, "folder": str(folder), "output": str(output)}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return int(stdout.readline()), output.read_text()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Forks()
    yield started
    started.close()


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People who walk to and fro between places, as a table."""
    path = tmp_path_factory.mktemp("traces") / "walks.csv"
    lines = ["id,time,x,y"]
    for person in range(PEOPLE):
        rng = np.random.default_rng(person)
        here_m, there_m = rng.uniform(0, 400, (2, 2))
        for sample in range(SAMPLES):
            way_m = there_m - here_m
            here_m = here_m + way_m * min(1.0, 25 / np.hypot(*way_m))
            if np.hypot(*(there_m - here_m)) < 1:
                there_m = rng.uniform(0, 400, 2)
            lines.append(f"p{person},{sample * STEP_S},{here_m[0]:.1f},{here_m[1]:.1f}")
    path.write_text("\n".join([*lines, ""]))
    return path


ALL = [block for page in PAGES for block in blocks(page)]
SHELL_BLOCKS = [block for block in ALL if block.language == SHELL]
RUN = [page for page in PAGES if any(b.page == page and not b.not_run for b in SHELL_BLOCKS)]


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "python":
        assert block.file or block.not_run, "begin with a comment that names a file: # name.py"
    if block.language == SHELL and not block.not_run:
        for words, root in commands(block):
            known = words[0] in ("testbed", "cp") or words[0].endswith(".py")
            assert known or root, f"{' '.join(words)}: mark the block, <!-- not run: why -->"


@pytest.fixture(scope="module")
def done() -> set[tuple[str, ...]]:
    """Commands that have run: one may stand on several pages, and there for both engines."""
    return set()


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_commands_of_a_page_run(
    page: Path, tmp_path: Path, forks: Forks, traces: Path, done: set[tuple[str, ...]]
) -> None:
    (tmp_path / "experiments").symlink_to(REPOSITORY / "experiments")
    files = {block.file: block.text for block in blocks(page) if block.file}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    own = {Path(name).stem for name in files}
    for block in blocks(page):
        if block.language != SHELL or block.not_run:
            continue
        for command in commands(block):
            if command.words[0] == "cp":
                shutil.copy(REPOSITORY / command.words[1], tmp_path / command.words[2])
                continue
            words = in_virtual_time(command)
            if words is None:
                continue
            uses_own = any(name in word for name in own for word in words)
            key = (str(page) if uses_own else "", *sorted(words))
            if key in done:
                continue
            done.add(key)
            means = {OUT: str(tmp_path / f"out{len(done)}"), TRACES: str(traces)}
            status, said = forks.run([means.get(word, word) for word in words], tmp_path)
            assert status == 0, f"{block}: {shlex.join(words)}\n{said}"
