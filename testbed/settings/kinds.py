"""What a setting may be, in words."""

from __future__ import annotations

from msgspec import inspect

_KINDS: dict[type[inspect.Type], str] = {
    inspect.FloatType: "number",
    inspect.IntType: "integer",
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.NoneType: "none",
}
_BOUNDS = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}


def described(kind: inspect.Type) -> str:
    """Return the words for a type: "number above 0", "a, b or c", "none or text"."""
    if isinstance(kind, inspect.Metadata):
        return described(kind.type)
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(", ".join(map(str, kind.values)).rsplit(", ", 1))
    if isinstance(kind, inspect.UnionType):
        return " or ".join(described(each) for each in kind.types)
    if isinstance(kind, inspect.TupleType):
        return f"list of {len(kind.item_types)} {described(kind.item_types[0])}s"
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {described(kind.item_type)}s"
    bounds = [
        f"{word} {getattr(kind, name):.12g}"
        for name, word in _BOUNDS.items()
        if getattr(kind, name, None) is not None
    ]
    return " ".join([_KINDS[type(kind)], *bounds])
