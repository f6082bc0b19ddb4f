"""What varies in a study: settings by name, and the values that each of them takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import msgspec

from testbed.errors import ConfigurationError
from testbed.settings.options import find_setting, option_value
from testbed.settings.text import setting_value, shown

MAX_VALUES = 10_000  # of one range

_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_RANGE = re.compile(
    rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+step\s+({_NUMBER}))?", flags=re.IGNORECASE
)


@dataclass(frozen=True)
class Variable:
    """A setting that varies."""

    name: str  # its option without dashes ("radius"), or its path where it has none
    path: str  # of the setting ("migration.radius_m")
    values: tuple[object, ...]  # that it takes, no two alike

    def shown(self, value: object) -> str:
        """Return one of the values the way that the command line takes it."""
        return shown(self.path, value)


def read_variables(texts: Iterable[str]) -> tuple[Variable, ...]:
    """Return the variables of `--vary NAME=V1,V2,...`, given once for each.

    Raise ConfigurationError for one that is given twice, as `read_variable` does for others.
    """
    variables = tuple(map(read_variable, texts))
    for name, count in Counter(variable.name for variable in variables).items():
        if count > 1:
            raise ConfigurationError(f"--vary {name}: is given {count} times; list all values once")
    return variables


def read_variable(text: str) -> Variable:
    """Return the variable of NAME=V1,V2,...; NAME=1..10 step 3; or NAME=[...], a list as JSON.

    Raise ConfigurationError for an unknown name, a value that cannot be read, none, or one twice.
    """
    name, separator, given = (part.strip() for part in text.partition("="))
    if not separator:
        raise ConfigurationError(f"--vary {text}: write --vary NAME=VALUE,VALUE,...")
    try:
        option, path = find_setting(name)
        read: Callable[[str], object] = partial(setting_value, path)
        if option == f"--{name}":
            read = partial(option_value, option, path)
        values = tuple(_json_values(given, read) if given.startswith("[") else _values(given, read))
    except ConfigurationError as error:
        raise ConfigurationError(f"--vary {text}: {error}") from error
    for value, count in Counter(shown(path, value) for value in values).items():
        if count > 1:
            raise ConfigurationError(f"--vary {text}: {value} is given {count} times")
    return Variable(path if option is None else option.removeprefix("--"), path, values)


def _json_values(text: str, read: Callable[[str], object]) -> Iterator[object]:
    try:
        values = msgspec.json.decode(text, type=list[object])
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"is no list in JSON: {error}") from error
    if not values:
        raise ConfigurationError("has no values")
    for value in values:
        yield read(value) if isinstance(value, str) else value


def _values(text: str, read: Callable[[str], object]) -> Iterator[object]:
    for part in (part.strip() for part in text.split(",")):
        if not part:
            raise ConfigurationError("has an empty value")
        steps = _RANGE.fullmatch(part)
        yield from map(read, [part] if steps is None else _steps(part, *steps.groups()))


def _steps(text: str, start: str, stop: str, step: str | None) -> list[str]:
    """Return the numbers of a range, its end included where a step reaches it."""
    first, last, width = Decimal(start), Decimal(stop), Decimal(step or 1)
    if not width or (last - first) / width < 0:
        raise ConfigurationError(f"{text}: no step leads from {start} to {stop}")
    count = int((last - first) / width) + 1
    if count > MAX_VALUES:
        raise ConfigurationError(f"{text}: has {count:,} values; take at most {MAX_VALUES:,}")
    return [f"{(first + number * width).normalize():f}" for number in range(count)]
