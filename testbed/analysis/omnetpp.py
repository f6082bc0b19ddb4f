"""A run as OMNeT++ result files: NAME.sca and NAME.vec, for its IDE, `opp_scavetool` and scave.

    version 3
    run RUN-ID              attr, itervar, config: what was run
    par, scalar, statistic  positions, summary, query times (.sca)
    vector                  rates and query times over time (.vec)

Modules are NETWORK, NETWORK.AP and NETWORK.CLIENT, NETWORK being the experiment's name. The
entries are those that OMNeT++ 6 writes and `opp_scavetool` accepts (manual, appendix "Result File
Formats").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from testbed.errors import TestbedError
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables
from testbed.values import Schedule

FOLDER = "omnetpp"
_VERSION = 3
_BINS = 20
_SIGNIFICANT_DIGITS = 12

#: Keys of summary.json with a unit; the others are counts and shares.
_UNITS = {
    "median_latency_s": "s",
    "p95_latency_s": "s",
    "median_handover_gap_s": "s",
    "mean_prediction_error_m": "m",
    "migrated_bytes": "B",
    "migrated_wire_bytes": "B",
    "peak_uplink_mbps": "Mbps",
    "peak_downlink_mbps": "Mbps",
}
#: Settings that people vary, by the names of the commands' options
_ITERATION_VARIABLES = {
    "policy": ("migration", "policy"),
    "radius": ("migration", "radius_m"),
    "ttl": ("migration", "ttl_intervals"),
    "fraction": ("migration", "fraction_mb"),
    "model": ("model", "name"),
    "clients": ("replay", "clients"),
    "topology": ("backhaul", "topology"),
    "controller": ("backhaul", "controller"),
    "tdf": ("compute", "tdf"),
}


def write_omnetpp(folder: RunFolder) -> tuple[Path, Path]:
    """Write a finished run's .sca and .vec into its folder; return their paths.

    Raise TestbedError, of which ConfigurationError is one, if it has no documents or tables.
    """
    run = _Run(folder)
    out = folder.path / FOLDER
    out.mkdir(exist_ok=True)
    paths = out / f"{run.network}.sca", out / f"{run.network}.vec"
    for path, results in zip(paths, (run.scalars(), run.vectors()), strict=True):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for part in (run.head(), results) for line in part)
    return paths


def token(value: object) -> str:
    """Return one token of a line: quoted where it is empty, or holds spaces, quotes or the like."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    text = str(value)
    if text and not any(each.isspace() or each in '"\\#' for each in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def line(*tokens: object) -> str:
    """Return a line of these tokens."""
    return " ".join(map(token, tokens))


def _number(value: float) -> str:
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{value:.{_SIGNIFICANT_DIGITS}g}"


class _Run:
    """One run and what of it goes into the files."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._manifest = folder.read_json("manifest")
        self._config = folder.read_json("config")
        if not isinstance(self._config.get("seed"), int):
            raise TestbedError(f"{folder.path / 'config.json'}: holds no seed")
        self._summary = folder.read_json("summary")
        self._schedule: Schedule = folder.read_schedule()
        self._tables = read_tables(folder.path)
        name = str(self._manifest.get("experiment", folder.path.parent.name))
        self.network = "".join(each if each.isalnum() else "_" for each in name)

    def head(self) -> Iterator[str]:
        """Yield the lines that say which run it is; both files begin with them."""
        variables = {
            name: self._config[section][key]
            for name, (section, key) in _ITERATION_VARIABLES.items()
            if self._config.get(section, {}).get(key) is not None
        }
        variables["seed"] = self._config["seed"]
        measurement = ", ".join(f"${name}={value}" for name, value in variables.items())
        yield f"version {_VERSION}"
        yield line("run", f"{self.network}-0-{self._folder.path.name}")
        told = ("engine", "status", "testbed", "git_commit", "traces", "kernel", "cpu")
        attributes = {
            "configname": self.network,
            "datetime": str(self._manifest.get("start", "")),
            "experiment": self.network,
            "iterationvars": measurement,
            "measurement": measurement,
            "network": self.network,
            "replication": f"#{self._config['seed']}",
            "repetition": 0,
            "runnumber": 0,
            "seedset": self._config["seed"],
            **{key: self._manifest[key] for key in told if self._manifest.get(key) is not None},
            "fidelity": self._summary["fidelity"],
        }
        yield from (line("attr", name, value) for name, value in attributes.items())
        yield from (line("itervar", name, value) for name, value in variables.items())
        yield from (line("config", key, value) for key, value in _flat(self._config))
        yield ""

    def scalars(self) -> Iterator[str]:
        """Yield parameters, scalars and statistics."""
        for access_point in self._schedule.access_points:
            module = self._module(access_point.name)
            for axis, value_m in (("x", access_point.x_m), ("y", access_point.y_m)):
                yield line("par", module, axis, _number(value_m))
                yield line("attr", "unit", "m")
        for client, trace in self._schedule.clients.items():
            yield line("par", self._module(client), "trace", trace)
        for key, value in self._summary.items():
            if isinstance(value, (int, float)):
                yield line("scalar", self.network, key, value)
                if key in _UNITS:
                    yield line("attr", "unit", _UNITS[key])
        totals = self._tables["backhaul"].groupby(["server", "direction"])["bytes"].sum()
        for (server, direction), size in totals.items():
            yield line("scalar", self._module(server), f"{direction}:sum(bytes)", int(size))
            yield line("attr", "unit", "B")
        for client, queries in self._tables["queries"].groupby("client"):
            yield from _statistic(self._module(client), "queryTime", queries["latency_s"], "s")
        yield from _statistic(self.network, "queryTime", self._tables["queries"]["latency_s"], "s")
        handovers = self._tables["handovers"]
        gaps = (handovers["first_byte_s"] - handovers["trace_s"]).dropna()
        yield from _statistic(self.network, "handoverGap", gaps, "s")
        errors_m = self._tables["predictions"]["error_m"].dropna()
        yield from _statistic(self.network, "predictionError", errors_m, "m")

    def vectors(self) -> Iterator[str]:
        """Yield vectors: each server's rates by interval and cause, each client's query times."""
        numbers = itertools.count()
        backhaul = self._tables["backhaul"]
        intervals = math.ceil(self._schedule.duration_s / self._schedule.interval_s)
        starts_s = np.arange(intervals) * self._schedule.interval_s
        for (server, direction, cause), rows in backhaul.groupby(["server", "direction", "cause"]):
            rates = np.zeros(intervals)  # an interval without a packet has no row
            rates[rows["interval"]] = rows["mbps"]
            attributes = {
                "title": f"{direction} rate, {cause}",
                "unit": "Mbps",
                "interpolationmode": "sample-hold",
            }
            head = next(numbers), self._module(server), f"{direction}:{cause}:vector"
            yield from _vector(*head, attributes, starts_s, rates)
        for client, queries in self._tables["queries"].groupby("client"):
            ordered = queries.sort_values("answered_s", kind="stable")
            attributes = {"title": "query time", "unit": "s", "interpolationmode": "none"}
            times_s, values = (ordered[key].to_numpy() for key in ("answered_s", "latency_s"))
            head = next(numbers), self._module(client), "queryTime:vector"
            yield from _vector(*head, attributes, times_s, values)

    def _module(self, node: object) -> str:
        return f"{self.network}.{node}"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield settings with their dotted names."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _statistic(module: str, name: str, values: pd.Series, unit: str) -> Iterator[str]:
    """Yield a statistic with its histogram, under- and overflow included; nothing for no values."""
    if values.empty:
        return
    array = values.to_numpy(float)
    yield line("statistic", module, name)
    fields = {
        "count": len(array),
        "mean": array.mean(),
        "stddev": array.std(ddof=1) if len(array) > 1 else 0.0,
        "min": array.min(),
        "max": array.max(),
        "sum": array.sum(),
        "sqrsum": (array**2).sum(),
    }
    yield from (line("field", key, _number(float(value))) for key, value in fields.items())
    yield line("attr", "unit", unit)
    high = np.nextafter(array.max(), np.inf)
    if not array.min() < high:
        return
    counts, edges = np.histogram(array, bins=_BINS, range=(array.min(), high))
    yield line("bin", "-inf", 0)
    for edge, count in zip(edges, [*counts, 0], strict=True):  # the last is the overflow
        yield line("bin", _number(float(edge)), int(count))


def _vector(
    number: int,
    module: str,
    name: str,
    attributes: Mapping[str, str],
    times_s: Iterable[float],
    values: Iterable[float],
) -> Iterator[str]:
    yield line("vector", number, module, name, "TV")
    yield from (line("attr", name, value) for name, value in attributes.items())
    for time_s, value in zip(times_s, values, strict=True):
        yield f"{number}\t{_number(time_s)}\t{_number(value)}"
