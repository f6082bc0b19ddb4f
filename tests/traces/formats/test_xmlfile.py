"""XML that breaks off, is long, or declares what it should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.formats.fcd import at, fcd, mover
from tests.traces.formats.scenarios import loaded
from tests.traces.samples import write
from traces.recording import Dropped


def test_sumo_file_that_breaks_off_keeps_what_it_has(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)), at(2, "<vehi"))
    with pytest.raises(TraceError, match=r"fcd\.xml:5: not well-formed XML"):
        loaded(tmp_path, "fcd.xml", text)
    recording = loaded(tmp_path, "fcd.xml", text, skip_bad=True)
    assert (len(recording.tracks[0]), recording.dropped) == (2, Dropped(bad_lines=1))


def test_lines_beyond_65535_are_named(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), "\n" * 70_000, at(1, '<vehicle id="a"/>'))
    with pytest.raises(TraceError, match=r"fcd\.xml:70005: "):
        loaded(tmp_path, "fcd.xml", text)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """A billion laughs, in an attribute and in text, and a file that is not ours."""
    secret = write(tmp_path / "secret", ("500",))
    entities = '<!ENTITY e0 "0123456789">' + "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)
    )
    for declared, value in ((entities, "&e9;"), (f'<!ENTITY e SYSTEM "{secret.as_uri()}">', "&e;")):
        text = (
            f"<!DOCTYPE fcd-export [{declared}]>\n<fcd-export>"
            f'<timestep time="0">{value}<vehicle id="a" x="{value}" y="0"/></timestep></fcd-export>'
        )
        with pytest.raises(TraceError, match=r"bomb\.xml"):
            loaded(tmp_path, "bomb.xml", text, "sumo")


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        (f'<!ATTLIST vehicle name CDATA "{"long" * 1000}">', "attributes of 'vehicle'"),
        ("<!ELEMENT vehicle EMPTY>", "an element 'vehicle'"),
        ('<!NOTATION n SYSTEM "n">', "a notation 'n'"),
        ('<!ENTITY e "e">', "an entity 'e'"),
    ],
)
def test_declarations_are_refused_by_name(tmp_path: Path, declared: str, what: str) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)))
    text = text.replace("<fcd-export>", f"<!DOCTYPE fcd-export [{declared}]><fcd-export>")
    with pytest.raises(TraceError, match=rf"fcd\.xml:2: it declares {what}"):
        loaded(tmp_path, "fcd.xml", text)


def test_document_type_without_declarations_is_read(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)))
    text = text.replace("<fcd-export>", '<!DOCTYPE fcd-export SYSTEM "fcd.dtd"><fcd-export>')
    assert len(loaded(tmp_path, "fcd.xml", text).tracks[0]) == 2
