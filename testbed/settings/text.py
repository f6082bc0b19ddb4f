"""Values of settings as text: what people write, what they read, and what --help says of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from testbed.errors import ConfigurationError
from testbed.settings.experiment import parse_value, settings
from testbed.settings.kinds import described
from testbed.settings.units import parse_rate, parse_size, parse_time

#: What the end of a setting's name says of its unit, and what reads a value that has one.
_UNITS: dict[str, tuple[str, Callable[[str], float] | None]] = {
    "bps": ("bit/s", parse_rate),
    "bytes": ("bytes", lambda text: int(parse_size(text))),
    "s": ("s", parse_time),
    "m": ("m", None),
    "mb": ("MB", None),
    "intervals": ("intervals", None),
}


def setting_value(path: str, text: str) -> object:
    """Return what TEXT means for a setting: text itself, a quantity with its unit, or JSON.

    Raises ConfigurationError: a quantity that cannot be read.
    """
    field = dict(settings()).get(path)
    types = set() if field is None else _types(field)
    if inspect.NoneType in types and text in ("none", "null"):
        return None
    if inspect.StrType in types:
        return text  # a folder may be called 2024
    if field is not None and text in _literals(field):
        return text
    value = parse_value(text)
    if isinstance(value, str) and inspect.TupleType in types:
        value = parse_value(f"[{text}]")  # 0,0,1500,2000
    read = _UNITS.get(path.rpartition("_")[2], ("", None))[1]
    if isinstance(value, str) and read is not None:
        try:
            return read(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error
    return value


def shown(path: str, value: object) -> str:
    """Return a value the way that the command line takes it, no two values alike."""
    if path == "model.input_shape":
        return "x".join(str(each) for each in msgspec.to_builtins(value))
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def meaning(field: inspect.Field) -> str:
    """Return what a setting means, as it says of itself."""
    extra = getattr(field.type, "extra_json_schema", None) or {}
    return str(extra.get("description", "name of the experiment"))


def described_setting(path: str, field: inspect.Field, values: dict[str, Any]) -> str:
    """Return for example "number above 0, m; default: 50"."""
    kind = described(field.type)
    unit = _UNITS.get(path.rpartition("_")[2], ("", None))[0]
    words = f"{kind}, {unit}" if unit else kind
    return f"{words}; default: {shown(path, values[path])}" if path in values else words


def _types(field: inspect.Field) -> set[type[inspect.Type]]:
    return {type(each) for each in _alternatives(field)}


def _literals(field: inspect.Field) -> set[object]:
    """Return the words that a setting takes, such as "busiest"."""
    words = (each.values for each in _alternatives(field) if isinstance(each, inspect.LiteralType))
    return {word for values in words for word in values}


def _alternatives(field: inspect.Field) -> Sequence[inspect.Type]:
    kind = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    return kind.types if isinstance(kind, inspect.UnionType) else [kind]
