"""Reading XML element by element: files of any length, from any source.

The parser is expat. It fetches nothing, and a document that declares entities or default values of
attributes, which could grow out of all proportion, or anything else, is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.parsers import expat

from traces.formats.lines import SHOWN, Collector, LineError
from traces.trace_files import Head, open_bytes

_CHUNK_BYTES = 1 << 16
_NAMESPACE_END = "}"


@dataclass(frozen=True)
class Event:
    """The start or end of an element."""

    kind: Literal["start", "end"]  # a start has the attributes, an end the text
    name: str  # of the element, without its namespace
    line: int  # where the event is in the file, from 1
    attributes: dict[str, str]  # by name
    text: str  # directly in the element, up to its end
    depth: int  # of the element in the document, whose root has 1


def has_root(head: Head, name: str) -> bool:
    """Say whether a file's root element has a name, of whatever namespace.

    Where a document is refused before its root, what it says of its type counts, so that reading it
    says why.
    """
    roots: list[str] = []
    types: list[str] = []
    parser = _parser()
    parser.StartElementHandler = lambda element, _: roots.append(_local(element))
    parser.StartDoctypeDeclHandler = lambda declared, *_: types.append(declared)
    with suppress(*_FAILURES):
        parser.Parse(head.raw)
    return (roots or types)[:1] == [name]


def elements(path: Path, names: Sequence[str], collector: Collector) -> Iterator[Event]:
    """Yield the starts and ends of elements with these names, in document order.

    A syntax error ends the file as a malformed line, which `collector` may refuse. Raises
    TraceError if the file cannot be read.
    """
    found: deque[Event] = deque()
    parser = _parser()
    text: list[str] = []
    depth = 0

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        text.clear()
        if (name := _local(element)) in wanted:
            found.append(Event("start", name, parser.CurrentLineNumber, attributes, "", depth))

    def end(element: str) -> None:
        nonlocal depth
        if (name := _local(element)) in wanted:
            found.append(Event("end", name, parser.CurrentLineNumber, {}, "".join(text), depth))
        depth -= 1
        text.clear()

    wanted = frozenset(names)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    with open_bytes(path) as file:
        at_end = False
        while not at_end:
            chunk = file.read(_CHUNK_BYTES)
            at_end = not chunk
            fault: object = None
            try:
                parser.Parse(chunk, at_end)
            except expat.ExpatError as error:
                fault = f"not well-formed XML: {expat.ErrorString(error.code)}"
            except _FAILURES as error:
                fault = error
            while found:
                yield found.popleft()
            if fault is not None:
                collector.bad(parser.CurrentLineNumber, fault)
                return


#: What parsing may raise: wrong syntax, an encoding that is not known, and `_refusal`.
_FAILURES = (expat.ExpatError, LookupError, ValueError)


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=_NAMESPACE_END)
    parser.EntityDeclHandler = _refusal("an entity")
    parser.AttlistDeclHandler = _refusal("attributes of")
    parser.ElementDeclHandler = _refusal("an element")
    parser.NotationDeclHandler = _refusal("a notation")
    return parser


def _refusal(what: str) -> Callable[..., None]:
    """Return a handler that refuses a declaration, whose first argument is a name."""

    def refuse(name: str, *_: object) -> None:
        raise LineError(f"it declares {what} {name[:SHOWN]!r}, which no traces need")

    return refuse


def _local(element: str) -> str:
    return element.rpartition(_NAMESPACE_END)[2]
