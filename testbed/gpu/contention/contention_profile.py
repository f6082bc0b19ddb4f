"""Contention profiles: how long single layers take while so many clients run inference (Fig. 4).

As with the paper's extended `perf_client` (section III.C.1), clients keep a server busy, one more
client has its queries' layers timed one by one, and the server's statistics are read when such a
query arrives. Profiles are made on the modelled accelerator here, on a machine's processors or GPU
by `contention_host`.

Under `perf_client` every client asks again at once. Here a client asks again after a gap, as the
testbed's clients do; its mean is another in each load period, called a run, so that the same number
of clients makes many loads.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from testbed.dnn.devices.layer_times import work_of
from testbed.dnn.graph import Layer, LayerGraph
from testbed.gpu.accelerator import Accelerator, AcceleratorParameters, Work
from testbed.gpu.sharing import DEFAULTS
from testbed.gpu.stats import ServerStats

#: The columns of a contention profile, a row a timed layer: dtype and meaning.
COLUMNS = {
    "run": ("int64", "load period: as long as clients and their mean gap stay the same"),
    "request": ("int64", "query of the timed client; its layers are timed one after the other"),
    "clients": ("int64", "clients that run inference beside the timed one"),
    "mean_gap_s": ("float64", "mean of the exponential gap from a client's answer to its query"),
    "source": ("str", "of the statistics: modelled, host or nvml"),
    "active_clients": ("int64", "of the clients, how many had work in the sample period"),
    "kernel_utilisation": ("float64", "share of the sample period, 0 to 1"),
    "memory_utilisation": ("float64", "share of the sample period, 0 to 1; NaN if not measured"),
    "memory_used_bytes": ("int64", "bytes in use; 0 if not measured"),
    "temperature_c": ("float64", "degrees Celsius; NaN if not measured"),
    "model": ("str", "of the timed client"),
    "layer": ("str", "its name"),
    "kind": ("str", "Caffe's name of the layer's type where it has one, else PyTorch's"),
    "multiply_adds": ("int64", "what it computes"),
    "input_bytes": ("int64", "of all tensors that it reads, weights not counted"),
    "weight_bytes": ("int64", "of its weights"),
    "output_bytes": ("int64", "of its output"),
    "kernel": ("float64", "side of the window, of one that is not square the mean; 0 without"),
    "stride": ("float64", "of the window; 0 without"),
    "filters": ("int64", "number of output channels or neurons; 0 if the layer names none"),
    "group": ("int64", "groups of channels that a convolution keeps apart, else 1"),
    "idle_s": ("float64", "seconds that it takes on the idle server"),
    "time_s": ("float64", "seconds that it took"),
}

HYPERPARAMETERS = (
    *("multiply_adds", "input_bytes", "weight_bytes", "output_bytes"),
    *("kernel", "stride", "filters", "group"),
)
#: The paper's workload features; memory in use says what clients have stored, not what they do.
LOAD = ("active_clients", "kernel_utilisation", "memory_utilisation", "temperature_c")

CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # beside the timed one, for what the master learns
GAPS_S = (0.001, 2.0)  # log-uniform between: hardly ever idle to hardly ever busy

_TIMED = "timed"


def layer_table(graph: LayerGraph) -> pd.DataFrame:
    """Return model, layer, kind and `HYPERPARAMETERS` of a graph's layers, n rows."""
    rows = [
        {
            "model": graph.model,
            "layer": layer.name,
            "kernel": _side(layer, "kernel"),
            "stride": _side(layer, "stride"),
            "filters": int(_side(layer, "num_output")),
            **msgspec.structs.asdict(work_of(graph, index)),
        }
        for index, layer in enumerate(graph.layers)
    ]
    return pd.DataFrame(rows)[["model", "layer", "kind", *HYPERPARAMETERS]]


def load_features(stats: Sequence[ServerStats]) -> npt.NDArray[np.float64]:
    """Return statistics as `LOAD`, (s, 4)."""
    rows = [
        (each.clients, each.kernel_utilisation, each.memory_utilisation, each.temperature_c)
        for each in stats
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, len(LOAD))


class TimedQuery(NamedTuple):
    """A query of the timed client, with the load that it met."""

    run: int
    clients: int
    mean_gap_s: float
    stats: ServerStats
    model: int  # index of its table
    times_s: Sequence[float]


def profile_table(tables: Sequence[pd.DataFrame], queries: Sequence[TimedQuery]) -> pd.DataFrame:
    """Return the profile that timed queries make, a row for each of their layers, with `COLUMNS`.

    `tables` are each model's `layer_table` with `idle_s`.
    """
    starts = np.cumsum([0, *(len(table) for table in tables)])
    places = [np.arange(starts[query.model], starts[query.model + 1]) for query in queries]
    lengths = [len(each) for each in places]
    rows = pd.concat(tables, ignore_index=True).iloc[np.concatenate(places)]
    runs = pd.DataFrame([query[:3] for query in queries], columns=TimedQuery._fields[:3])
    stats = pd.DataFrame([msgspec.structs.asdict(query.stats) for query in queries])
    loads = runs.join(stats.rename(columns={"clients": "active_clients"}))
    loads["request"] = np.arange(len(queries))
    load_at_query = loads.iloc[np.repeat(np.arange(len(queries)), lengths)]
    profile = pd.concat([load_at_query.reset_index(drop=True), rows.reset_index(drop=True)], axis=1)
    profile["time_s"] = np.concatenate([query.times_s for query in queries])
    return profile[list(COLUMNS)].astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def profile_modelled(
    tables: Sequence[pd.DataFrame],
    clients: Sequence[int],
    *,
    run_s: float = 6.0,
    runs: int = 20,
    seed: int = 1,
    parameters: AcceleratorParameters = DEFAULTS,
) -> pd.DataFrame:
    """Return the contention profile of a modelled accelerator, made in virtual time.

    Runs with different numbers of clients follow each other at random on one accelerator, so its
    temperature tells what was before, and nothing of the numbers' order. Times vary with what other
    clients happen to do alone: no noise is added. Queries are timed more than a sample period
    apart, so that the statistics speak of the other clients. The same seed gives the same profile.

    `tables` are the models: their `layer_table` with `idle_s`, seconds of each layer alone. Every
    client draws its own for each run, the timed one for each query. For each number of `clients`
    beside the timed one there are `runs` load periods of `run_s` virtual seconds.
    """
    rng = np.random.default_rng(seed)
    idle_s = [table["idle_s"].tolist() for table in tables]
    held_bytes = [int(table["weight_bytes"].sum()) for table in tables]
    server = _LoadedServer(Accelerator(parameters), rng)
    timed: list[TimedQuery] = []
    for run, (number, mean_gap_s) in enumerate(load_periods(clients, runs, rng)):
        chosen = rng.integers(len(tables), size=number).tolist()
        server.load(
            [sum(idle_s[model]) for model in chosen],
            [held_bytes[model] for model in chosen],
            mean_gap_s,
        )
        end_s = server.now_s + run_s
        while server.now_s < end_s:
            server.serve_for(parameters.period_s * (1.0 + 0.5 * rng.random()))
            model, stats = int(rng.integers(len(tables))), server.read()
            times_s = server.time(idle_s[model])
            timed.append(TimedQuery(run, number, mean_gap_s, stats, model, times_s))
    return profile_table(tables, timed)


def load_periods(
    clients: Sequence[int], runs: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    """Return (clients, mean gap in seconds) of a profile's runs, in random order.

    The runs with the same number of clients have gaps from all of `GAPS_S`, one from each of as
    many equal parts of it.
    """
    low, high = np.log(GAPS_S)
    periods = [
        (number, float(np.exp(low + (high - low) * (part + rng.random()) / runs)))
        for number in clients
        for part in range(runs)
    ]
    return [periods[place] for place in rng.permutation(len(periods))]


class _LoadedServer:
    """A modelled accelerator with clients that ask, get answered and ask again, and one that waits.

    A client's query is one piece of work: its layers, one after the other, would progress alike,
    since the share of each that memory bounds is the same.
    """

    def __init__(self, accelerator: Accelerator, rng: np.random.Generator) -> None:
        self._accelerator = accelerator
        self._rng = rng
        self.now_s = 0.0
        self._query_s: list[float] = []
        self._mean_gap_s = 0.0
        self._asks: list[tuple[float, int]] = []  # a heap: when, which client
        self._working: dict[int, int] = {}  # ticket -> client

    def load(self, query_s: Sequence[float], held_bytes: Sequence[int], mean_gap_s: float) -> None:
        """Put clients with such queries in the place of those that are there."""
        for ticket in self._working:
            self._accelerator.cancel(self.now_s, ticket)
        for client in range(max(len(self._query_s), len(query_s))):
            held = held_bytes[client] if client < len(held_bytes) else 0
            self._accelerator.hold(str(client), held)
        self._working.clear()
        self._query_s, self._mean_gap_s = list(query_s), mean_gap_s
        self._asks = [(self.now_s + self._gap_s(), client) for client in range(len(query_s))]
        heapq.heapify(self._asks)

    def serve_for(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self._step(end_s)

    def read(self) -> ServerStats:
        """Return the statistics now."""
        return self._accelerator.read(self.now_s)

    def time(self, works_s: Sequence[float]) -> list[float]:
        """Return how long each piece of work takes for one more client, one after the other."""
        times_s = []
        for alone_s in works_s:
            asked_s = self.now_s
            self._accelerator.submit(asked_s, _TIMED, Work.of(alone_s))
            while not (done_s := self._step(math.inf)):
                pass
            times_s.append(done_s - asked_s)
        return times_s

    def _step(self, end_s: float) -> float:
        """Go on to the next event, at most until `end_s`; return when timed work was done, or 0."""
        next_ask_s = self._asks[0][0] if self._asks else math.inf
        self.now_s = min(end_s, next_ask_s, self._accelerator.next_completion_s())
        timed_s = 0.0
        for ticket, done_s in self._accelerator.advance(self.now_s):
            client = self._working.pop(ticket, None)
            if client is None:
                timed_s = done_s
            else:
                heapq.heappush(self._asks, (done_s + self._gap_s(), client))
        while self._asks and self._asks[0][0] <= self.now_s:
            _, client = heapq.heappop(self._asks)
            work = Work.of(self._query_s[client])
            self._working[self._accelerator.submit(self.now_s, str(client), work)] = client
        return timed_s

    def _gap_s(self) -> float:
        return float(self._rng.exponential(self._mean_gap_s))


def _side(layer: Layer, name: str) -> float:
    """A hyperparameter as one number: the geometric mean of sides that differ; 0 if not named."""
    value = layer.hyperparameters.get(name, 0)
    if isinstance(value, tuple):
        return float(math.prod(value) ** (1 / len(value))) if value else 0.0
    return float(value) if isinstance(value, (int, float)) else 0.0
