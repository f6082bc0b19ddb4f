"""Classes that users name as package.module:Class, and the settings that such classes declare."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import fields

from testbed.errors import ConfigurationError, unknown_name
from testbed.settings.section import Section, refused_place

Base = TypeVar("Base")
Made = TypeVar("Made")
Own = TypeVar("Own", bound=Section)


def users_attribute(module: str, attribute: str) -> Any:
    """Return what a module has, which may lie in the folder where the command is called.

    It may raise anything, SystemExit included: a user's module is run.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return getattr(importlib.import_module(module), attribute)


def load_class(kind: str, name: str, base: type[Base], known: Iterable[str]) -> type[Base]:
    """Return the subclass of `base` that "package.module:Class" names (see `users_attribute`).

    Raises ConfigurationError: no such module or class, it is no subclass of `base`, it is abstract,
    or the settings that it declares as its own cannot be.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(unknown_name(kind, name, known))
    try:
        found = users_attribute(module, attribute)
    except (Exception, SystemExit) as error:  # whatever a user's module does when it is loaded
        raise ConfigurationError(f"{kind} {name!r}: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(
            f"{kind} {name!r} is no subclass of {base.__module__}.{base.__qualname__}"
        )
    if inspect.isabstract(found):
        raise ConfigurationError(f"{kind} {name!r} is abstract: it lacks methods of its own")
    if declares := getattr(base, "Settings", None):
        _check_settings(f"{kind} {name!r}", getattr(found, "Settings", None), declares)
    return found


def _check_settings(whose: str, found: object, base: type[Section]) -> None:
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(
            f"{whose}: its Settings must be a subclass of {base.__module__}.{base.__qualname__}"
        )
    if required := [each.name for each in fields(found) if each.required]:
        raise ConfigurationError(f"{whose}: Settings.{required[0]} needs a default")


def instance(kind: str, name: str, make: Callable[[], Made]) -> Made:
    """Return what `make` returns; ConfigurationError for whatever a user's constructor raises."""
    try:
        return make()
    except ConfigurationError:
        raise
    except Exception as error:
        text = f"cannot be made: {type(error).__name__}: {error}"
        raise ConfigurationError(f"{kind} {name!r} {text}") from error


def own_settings(kind: str, name: str, section: type[Own], values: Mapping[str, Any]) -> Own:
    """Return the settings that a class declares as its own, with the values given.

    Args:
        kind: "policy" or "predictor": their path is KIND.SETTING.
        name: of the class, as the user named it.
        section: what it declares.
        values: by setting; the others have their defaults.

    Raises ConfigurationError: it has no such setting, or a value is not possible.
    """
    known = section.__struct_fields__
    for setting in values:
        if setting not in known:
            none = f"{kind} {name!r} has no settings of its own"
            text = unknown_name(f"setting of {kind} {name!r}", setting, known) if known else none
            raise ConfigurationError(f"{kind}.{setting}: {text}")
    try:
        return msgspec.convert(dict(values), section)
    except msgspec.ValidationError as error:
        setting, message = refused_place(error)
        path = f"{kind}.{setting}" if setting else kind
        refused = f", got {values[setting]!r}" if setting in values else ""
        raise ConfigurationError(f"{path}: {message.replace('`', '')}{refused}") from error
