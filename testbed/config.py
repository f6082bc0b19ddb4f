"""An experiment: everything that a run depends on, validated whole before anything is created."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from testbed.errors import ConfigurationError, unknown_name
from testbed.kinds import described
from testbed.sections import (
    Backhaul,
    Compute,
    Migration,
    Model,
    Replay,
    Section,
    Server,
    Simulation,
    Traces,
    Wireless,
)

__all__ = [
    "Backhaul",
    "Compute",
    "Experiment",
    "Migration",
    "Model",
    "Replay",
    "Server",
    "Simulation",
    "Traces",
    "Wireless",
    "from_dict",
    "override",
    "parse_value",
    "settings",
    "to_dict",
]


_NAME_CHARACTERS = 100


class Experiment(Section, frozen=True, kw_only=True):
    """One run: its settings by section, and the seed that makes it repeatable."""

    name: Annotated[str, Meta(description="name of the experiment; results go into a folder of it")]
    engine: Annotated[
        Literal["emulate", "simulate"],
        Meta(description="real sockets and processes (needs root), or virtual time"),
    ] = "emulate"
    seed: Annotated[int, Meta(ge=0, description="seed of split, weights and synthetic traces")] = 1
    traces: Traces = Traces()
    replay: Replay = Replay()
    wireless: Wireless = Wireless()
    backhaul: Backhaul = Backhaul()
    model: Model = Model()
    server: Server = Server()
    migration: Migration = Migration()
    compute: Compute = Compute()
    simulation: Simulation = Simulation()


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as plain JSON values, as config.json holds it."""
    return msgspec.to_builtins(experiment)


def from_dict(values: dict[str, Any]) -> Experiment:
    """Return the validated experiment.

    Raises:
        ConfigurationError: an unknown setting, a wrong type or a value out of its bounds; the
            message names the setting's path.
    """
    try:
        experiment = msgspec.convert(values, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_readable(error, values)) from error
    _check_numbers(to_dict(experiment), "")
    _check_name(experiment.name)
    _check_window(experiment.traces)
    if experiment.migration.keep_probability > experiment.migration.offer_probability:
        raise ConfigurationError(
            f"migration.keep_probability: {experiment.migration.keep_probability:g} is above"
            f" migration.offer_probability, {experiment.migration.offer_probability:g}: what is"
            " offered would be dropped at once"
        )
    return experiment


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or set(name) & set("/\\\0") or len(name) > _NAME_CHARACTERS:
        raise ConfigurationError(f"name: {name[:_NAME_CHARACTERS]!r} cannot be a folder's name")


def _check_window(traces: Traces) -> None:
    if traces.window_m is not None and traces.window_deg is not None:
        raise ConfigurationError("give traces.window_m or traces.window_deg, not both")
    for name, order in (
        ("window_m", "x_min y_min x_max y_max"),
        ("window_deg", "lat_min lon_min lat_max lon_max"),
    ):
        window = getattr(traces, name)
        if window is not None and (window[0] >= window[2] or window[1] >= window[3]):
            raise ConfigurationError(f"traces.{name}: {window} is empty; write {order}")


def override(values: dict[str, Any], path: str, value: object) -> None:
    """Set `values[...]` at a dotted path such as "migration.radius_m".

    Raises:
        ConfigurationError: no setting has this path.
    """
    known = {field_path for field_path, _ in settings()}
    if path not in known:
        raise ConfigurationError(unknown_name("setting", path, known))
    *sections, last = path.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value


@cache
def settings(
    section: type[msgspec.Struct] = Experiment, prefix: str = ""
) -> tuple[tuple[str, msgspec.inspect.Field], ...]:
    """Return (dotted path, field) of every setting, in order of declaration."""
    found: list[tuple[str, msgspec.inspect.Field]] = []
    for field in msgspec.inspect.type_info(section).fields:  # type: ignore[attr-defined]
        if isinstance(field.type, msgspec.inspect.StructType):
            found += settings(field.type.cls, f"{prefix}{field.name}.")
        else:
            found.append((prefix + field.name, field))
    return tuple(found)


def parse_value(text: str) -> object:
    """Return what `--set path=TEXT` means: JSON where it is JSON, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _readable(error: msgspec.ValidationError, values: dict[str, Any]) -> str:
    message, _, place = str(error).partition(" - at ")
    path = place.strip("`").removeprefix("$.")
    if not path:
        return message
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    refused = "" if found is None or isinstance(found, dict) else f", got {found!r}"
    field = dict(settings()).get(path)
    if field is not None and message.startswith("Invalid enum value"):
        return f"{path}: expected {described(field.type)}{refused}"
    return f"{path}: {message.replace('`', '')}{refused}"


def _check_numbers(value: object, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{path}: {value} is not a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_numbers(item, f"{path}.{key}".lstrip("."))
    if isinstance(value, (list, tuple)):
        for item in value:
            _check_numbers(item, path)
