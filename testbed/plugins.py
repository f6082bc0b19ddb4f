"""Classes that users name as package.module:Class: policies and predictors of their own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from testbed.errors import ConfigurationError, unknown_name

Base = TypeVar("Base")


def load_class(kind: str, name: str, base: type[Base], known: Iterable[str]) -> type[Base]:
    """Return the subclass of `base` that "package.module:Class" names.

    Modules are also looked for in the folder where the command is called.

    Raises:
        ConfigurationError: no such module or class, it is no subclass of `base`, or it is
            abstract.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(unknown_name(kind, name, known))
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever a user's module does when it is loaded
        raise ConfigurationError(f"{kind} {name!r}: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(
            f"{kind} {name!r} is no subclass of {base.__module__}.{base.__qualname__}"
        )
    if inspect.isabstract(found):
        raise ConfigurationError(f"{kind} {name!r} is abstract: it lacks methods of its own")
    return found
