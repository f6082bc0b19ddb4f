"""An experiment: everything that a run depends on, validated whole before anything is created."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from testbed.errors import ConfigurationError, unknown_name
from testbed.settings.engines import Compute, Simulation
from testbed.settings.kinds import described
from testbed.settings.links import Backhaul, Wireless
from testbed.settings.offloads import THIS_MACHINE, Migration, Model, Server
from testbed.settings.people import Replay, Traces
from testbed.settings.section import Section, refused_place

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

    #: Of the policy and the predictor that run: what their classes declare as their own settings.
    policy: dict[str, Any] = msgspec.field(default_factory=dict)
    predictor: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def timed_by_gpu(self) -> bool:
        """Whether edge servers take the times of this machine's GPU itself, and of no profile."""
        timed = self.compute.device == "cuda" and self.compute.mode == "real"
        return timed and self.model.server_device == THIS_MACHINE

    def at_pace(self, tdf: float) -> Experiment:
        """Return the same experiment at another time dilation."""
        return replace(self, compute=replace(self.compute, tdf=tdf))


#: Settings that were the section migration's, and the policies that have them as their own now.
_MOVED = {
    "offer_probability": (0.05, ("visits",)),
    "keep_probability": (0.005, ("visits", "benefit")),
    "least_benefit": (0.016, ("benefit",)),
    "capacity_bps": (100e6, ("benefit",)),
}


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as plain JSON values, as config.json holds it."""
    return msgspec.to_builtins(experiment)


def from_dict(values: dict[str, Any]) -> Experiment:
    """Return the validated experiment.

    Raises ConfigurationError: an unknown setting, a wrong type or a value out of its bounds; the
    message names the setting's path.
    """
    values = _moved(values)
    try:
        experiment = msgspec.convert(values, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_readable(error, values)) from error
    _check_numbers(to_dict(experiment), "")
    _check_name(experiment.name)
    _check_window(experiment.traces)
    return experiment


def _moved(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings as they are called now, from a config.json of any version."""
    migration = values.get("migration")
    if not isinstance(migration, dict) or not migration.keys() & _MOVED.keys():
        return values
    kept = {name: value for name, value in migration.items() if name not in _MOVED}
    policy, own = kept.get("policy", Migration().policy), dict(values.get("policy", {}))
    for name in migration.keys() & _MOVED.keys():
        default, policies = _MOVED[name]
        if policy in policies or (":" in str(policy) and migration[name] != default):
            if own.get(name, migration[name]) != migration[name]:
                raise ConfigurationError(
                    f"migration.{name}: is policy.{name} now, which has another value here; leave"
                    " one out"
                )
            own[name] = migration[name]
    return {**values, "migration": kept, "policy": own}


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


def changed(experiment: Experiment, changes: Mapping[str, object]) -> Experiment:
    """Return an experiment with other values, by the settings' paths.

    What a policy or predictor has of its own goes with it: another one has its defaults.

    Raises ConfigurationError: no setting has such a path, or a value is not possible.
    """
    values = to_dict(experiment)
    for path in sorted(changes, key=lambda path: path not in _HAVE_OWN):
        override(values, path, changes[path])
    return from_dict(values)


#: Settings that name a class, and where its own settings are.
_HAVE_OWN = {"migration.policy": ("policy", "predictor"), "migration.predictor": ("predictor",)}


def override(values: dict[str, Any], path: str, value: object) -> None:
    """Set `values[...]` at a dotted path such as "migration.radius_m".

    Raises ConfigurationError: no setting has this path.
    """
    *sections, last = renamed(path).split(".")
    if sections not in (["policy"], ["predictor"]):
        known = {field_path for field_path, _ in settings()}
        if path not in known:
            raise ConfigurationError(unknown_name("setting", path, known))
    if path in _HAVE_OWN and values.get("migration", {}).get(last) != value:
        values |= {own: {} for own in _HAVE_OWN[path]}
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value


def renamed(path: str) -> str:
    """Return what a setting's path is called now."""
    section, _, name = path.partition(".")
    return f"policy.{name}" if section == "migration" and name in _MOVED else path


@cache
def settings(
    section: type[msgspec.Struct] = Experiment, prefix: str = ""
) -> tuple[tuple[str, msgspec.inspect.Field], ...]:
    """Return (dotted path, field) of every setting, in order of declaration."""
    found: list[tuple[str, msgspec.inspect.Field]] = []
    for field in msgspec.inspect.type_info(section).fields:  # type: ignore[attr-defined]
        if isinstance(field.type, msgspec.inspect.StructType):
            found += settings(field.type.cls, f"{prefix}{field.name}.")
        elif not isinstance(field.type, msgspec.inspect.DictType):  # a class's own settings
            found.append((prefix + field.name, field))
    return tuple(found)


def parse_value(text: str) -> object:
    """Return what `--set path=TEXT` means: JSON where it is JSON, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _readable(error: msgspec.ValidationError, values: dict[str, Any]) -> str:
    path, message = refused_place(error)
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
