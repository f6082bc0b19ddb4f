"""A parameter study: its configurations, and the runs that each is repeated in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from msgspec.structs import replace

from testbed.checks import check
from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment, changed, to_dict
from testbed.sweep.constraint import satisfying
from testbed.sweep.variables import Variable, read_variables

MAX_RUNS = 100_000

_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,24}")  # a value that a run's id has as it is
_ODD = re.compile(r"[^A-Za-z0-9_.+-]+")
_LONGEST_LABEL = 200  # characters; a file's name has 255


@dataclass(frozen=True)
class Configuration:
    """One choice of a value for each variable."""

    label: str  # "policy=perdnn,radius=50", by the variables' names in alphabetical order
    values: Mapping[str, object]  # by the variables' names, in the order in which they were given
    shown: Mapping[str, str]  # the same as the command line takes them
    settings: Experiment  # of its runs; the first has this seed


@dataclass(frozen=True)
class Run:
    """One run of a configuration."""

    id: str  # "policy=perdnn,radius=50,#0,seed=1": a folder's name, the same whenever it is run
    configuration: Configuration
    repetition: int  # from 0; added to the configuration's seed

    @property
    def settings(self) -> Experiment:
        """All settings of the run."""
        settings = self.configuration.settings
        return replace(settings, seed=settings.seed + self.repetition)


@dataclass(frozen=True)
class ParameterStudy:
    """Configurations of one experiment, each repeated with successive seeds.

    A repetition has the same seed, and with it the same people, in every configuration.
    """

    fixed: Mapping[str, Any]  # the settings that do not vary, as config.json has them
    variables: tuple[Variable, ...]
    constraints: tuple[str, ...]  # which of the configurations run
    configurations: tuple[Configuration, ...]  # those that run
    repetitions: int  # of each

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs: every configuration once, then every configuration again."""
        return tuple(
            Run(_id(configuration, repetition), configuration, repetition)
            for repetition in range(self.repetitions)
            for configuration in self.configurations
        )

    @property
    def digest(self) -> str:
        """Ten characters that stand for the fixed settings, whatever values the others take."""
        return _digest(json.dumps(self.fixed, sort_keys=True))


def make_study(
    experiment: Experiment, vary: Sequence[str], constraints: Sequence[str], repetitions: int
) -> ParameterStudy:
    """Return the study of an experiment, whose settings have no meaning where they vary.

    `vary` has NAME=VALUE,VALUE,... for each variable; all constraints hold (see
    `constraint.satisfying`). Raise ConfigurationError for a variable, constraint or configuration
    that cannot be.
    """
    variables = read_variables(vary)
    if repetitions < 1:
        raise ConfigurationError(f"--repeat {repetitions}: repeat at least once")
    if repetitions > 1 and any(variable.path == "seed" for variable in variables):
        raise ConfigurationError("--vary seed: repetitions have seeds of their own; give only one")
    count = prod(len(variable.values) for variable in variables) * repetitions
    if count > MAX_RUNS:
        raise ConfigurationError(f"{count:,} runs are more than {MAX_RUNS:,}; take fewer values")
    chosen = _choices(variables, constraints)
    configurations = tuple(_configuration(experiment, variables, values) for values in chosen)
    fixed = _fixed(experiment, variables)
    return ParameterStudy(fixed, variables, tuple(constraints), configurations, repetitions)


def _fixed(experiment: Experiment, variables: Sequence[Variable]) -> dict[str, Any]:
    values = json.loads(json.dumps(to_dict(experiment)))
    for variable in variables:
        *sections, last = variable.path.split(".")
        section = values
        for name in sections:
            section = section[name]
        section.pop(last, None)
    return values


def _choices(variables: Sequence[Variable], constraints: Sequence[str]) -> list[tuple[object, ...]]:
    choices = list(product(*(variable.values for variable in variables)))
    if not constraints:
        return choices
    if not variables:
        raise ConfigurationError("--constraint: nothing varies; name variables with --vary")
    rows = [
        {
            each.name: each.shown(value) if isinstance(value, (list, tuple)) else value
            for each, value in zip(variables, choice, strict=True)
        }
        for choice in choices
    ]
    paths = {variable.path: variable.name for variable in variables}
    runs_all = satisfying(rows, constraints, paths)
    if not any(runs_all):
        raise ConfigurationError(f"no configuration meets --constraint {' and '.join(constraints)}")
    return [choice for choice, runs in zip(choices, runs_all, strict=True) if runs]


def _configuration(
    experiment: Experiment, variables: Sequence[Variable], choice: Sequence[object]
) -> Configuration:
    chosen = list(zip(variables, choice, strict=True))
    values = {variable.name: value for variable, value in chosen}
    shown = {variable.name: variable.shown(value) for variable, value in chosen}
    try:
        settings = changed(experiment, {variable.path: value for variable, value in chosen})
    except ConfigurationError as error:
        raise ConfigurationError(f"{described(shown)}: {error}") from error
    return Configuration(_label(experiment.name, shown), values, shown, settings)


def checked(study: ParameterStudy) -> ParameterStudy:
    """Return a study whose configurations can all run, with every setting of their policies.

    Raise ConfigurationError if one of them cannot; the message says which.
    """
    configurations = []
    for each in study.configurations:
        try:
            configurations.append(dataclasses.replace(each, settings=check(each.settings)))
        except ConfigurationError as error:
            raise ConfigurationError(f"{described(each.shown)}: {error}") from error
    return dataclasses.replace(study, configurations=tuple(configurations))


def described(shown: Mapping[str, str]) -> str:
    """Return what an error message calls a configuration, by its values as they are shown."""
    return ", ".join(f"{name}={value}" for name, value in shown.items()) or "the experiment"


def _label(name: str, shown: Mapping[str, str]) -> str:
    """Return what a configuration is called: a folder's name, never that of another one."""
    parts = [f"{variable}={_plain(shown[variable])}" for variable in sorted(shown)]
    label = ",".join(parts or [_plain(name)])
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL // 2]}~{_digest(json.dumps(shown, sort_keys=True))}"


def _plain(text: str) -> str:
    """Return a text as it is, or where it is long or odd its beginning and a digest."""
    if _PLAIN.fullmatch(text):
        return text
    return f"{_ODD.sub('-', text)[:16]}~{_digest(text)}"


def _id(configuration: Configuration, repetition: int) -> str:
    if "seed" in configuration.values:
        return f"{configuration.label},#{repetition}"
    return f"{configuration.label},#{repetition},seed={configuration.settings.seed + repetition}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
