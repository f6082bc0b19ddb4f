"""Contention profiles of this machine: of its processors, or of its GPU by CUDA.

Each client is a process with one PyTorch thread, as the one whose layers are timed is; so they
contend for processors, caches and memory, or for the GPU, as clients of an edge server do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Literal, TypeVar

import msgspec
import numpy as np
import pandas as pd

from testbed import frames
from testbed.errors import MachineError, ModelError, TestbedError
from testbed.gpu.contention.contention_process import (
    BusySpans,
    Loaded,
    QueryRepeatedly,
    Request,
    Time,
    Timed,
)
from testbed.gpu.contention.contention_profile import (
    TimedQuery,
    layer_table,
    load_periods,
    profile_table,
)
from testbed.repository import REPOSITORY

T = TypeVar("T")

Accelerator = Literal["cpu", "cuda"]
Spans = Sequence[tuple[float, float]]

#: Statistics look back so far: NVML's own sample period is up to a second (the paper, note 1).
PERIODS_S = {"cpu": 0.5, "cuda": 1.0}

IDLE_S = 5.0  # how long layers are timed while no client asks
_PATIENCE_S = 120.0  # for whatever should take seconds


def profile_real(
    models: Sequence[str],
    clients: Sequence[int],
    *,
    run_s: float,
    runs: int = 6,
    idle_s: float = IDLE_S,
    accelerator: Accelerator = "cpu",
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Return the contention profile of this machine.

    The timed client executes all models (the testbed's, or "package.module:factory") in turn,
    client k the k-th of them (from the first again when they are all in use). Runs with different
    numbers of clients beside the timed one follow each other at random, `runs` of `run_s` seconds
    for each number. `idle_s` of a layer is its median in the first `idle_s` seconds, while no
    client asks. `seed` is of gaps, weights and the order; `say` is told each step.

    Raises ModelError if there is no such model, or it cannot be captured, MachineError if PyTorch
    has no such accelerator here, and TestbedError if a process ended, or did not answer.
    """
    rng = np.random.default_rng(seed)
    period_s = PERIODS_S[accelerator]
    say(f"{max(clients)} clients and the one that is timed load {', '.join(models)}")
    with InferenceProcesses(models, max(clients), accelerator, seed) as processes:
        say(f"{idle_s:.0f} s without clients")
        idle = processes.time([], 0.0, idle_s, 0.0)
        tables = _with_idle_times(processes.tables, idle)
        timed: list[TimedQuery] = []
        periods = load_periods(clients, runs, rng)
        for run, (number, mean_gap_s) in enumerate(periods):
            say(f"run {run + 1} of {len(periods)}: {number} clients, mean gap {mean_gap_s:.3f} s")
            chosen = rng.permutation(max(clients))[:number].tolist()
            timed += [
                TimedQuery(run, number, mean_gap_s, request.stats, request.model, request.times_s)
                for request in processes.time(chosen, mean_gap_s, run_s, period_s)
            ]
    return profile_table(tables, timed)


class InferenceProcesses:
    """Clients' processes and the timed one's; a context manager, which ends all of them.

    The timed process has all `models`, client k the k-th, counted around. `seed` is of weights and
    gaps.
    """

    def __init__(
        self, models: Sequence[str], clients: int, accelerator: Accelerator, seed: int
    ) -> None:
        self._models = tuple(models)
        self._seed = seed
        self._accelerator = accelerator
        self._number = clients
        self._undo = ExitStack()
        self.pids: tuple[int, ...] = ()
        self.tables: list[pd.DataFrame] = []

    def __enter__(self) -> InferenceProcesses:
        """Start all of them and wait until their models are loaded."""
        with ExitStack() as undo:

            def start(role: str, models: Sequence[str], seed: int) -> _Process:
                return undo.enter_context(_Process(role, models, self._accelerator, seed))

            self._timed = start("timed", self._models, self._seed)
            own_model = islice(cycle(self._models), self._number)
            self._clients = [
                start("client", (model,), seed)
                for seed, model in enumerate(own_model, self._seed + 1)
            ]
            self.pids = (self._timed.pid, *(client.pid for client in self._clients))
            self.tables = [layer_table(graph) for graph in self._timed.ready().graphs]
            for client in self._clients:
                client.ready()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        self._undo.close()

    def time(
        self, clients: Sequence[int], mean_gap_s: float, seconds: float, period_s: float
    ) -> list[Request]:
        """Time queries while these clients run inference; return them with the load they met.

        Raises TestbedError if a process ended, or did not answer.
        """
        for client in clients:
            self._clients[client].tell(QueryRepeatedly(mean_gap_s))
        self._timed.tell(Time(seconds, period_s))
        requests = self._timed.answer(Timed, seconds).requests
        for client in clients:
            self._clients[client].tell(QueryRepeatedly(None))
        spans_s = [self._clients[client].answer(BusySpans, 0.0).spans_s for client in clients]
        return [_with_clients(request, spans_s, period_s) for request in requests]


class _Process:
    """A process of `contention_process`; a context manager, which ends it."""

    def __init__(
        self, role: str, models: Sequence[str], accelerator: Accelerator, seed: int
    ) -> None:
        self._name = f"the process of {'a client' if role == 'client' else 'the timed client'}"
        program = [sys.executable, "-m", "testbed.gpu.contention.contention_process"]
        path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [*program, role, accelerator, str(seed), *models],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the terminal is for who started it
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.pid = self._process.pid

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # which closes its pipes and waits
            self._process.kill()  # it holds nothing that outlasts it

    def ready(self) -> Loaded:
        """Wait until the models are loaded."""
        ready = self.answer(Loaded, 0.0)
        if ready.model_error:
            raise ModelError(ready.model_error)
        if ready.machine_error:
            raise MachineError(ready.machine_error)
        return ready

    def tell(self, message: msgspec.Struct) -> None:
        """Say what it shall do."""
        try:
            frames.write(self._stdin.fileno(), message)
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self, kind: type[T], after_s: float) -> T:
        """Wait for an answer that should come after so many seconds."""
        try:
            deadline_s = time.monotonic() + after_s + _PATIENCE_S
            message: T | None = frames.read(self._stdout.fileno(), kind, deadline_s)
        except TimeoutError as error:
            raise TestbedError(f"{self._name} did not answer: {error}") from error
        if message is None:
            raise self._ended()
        return message

    def _ended(self) -> TestbedError:
        return TestbedError(f"{self._name} ended with status {self._process.wait()}")


def _with_idle_times(tables: list[pd.DataFrame], idle: Sequence[Request]) -> list[pd.DataFrame]:
    timed: list[list[tuple[float, ...]]] = [[] for _ in tables]
    for request in idle:
        timed[request.model].append(request.times_s)
    if not all(timed):
        raise TestbedError("not every model was executed while no client asked: give it more time")
    return [
        table.assign(idle_s=np.median(times, axis=0))
        for table, times in zip(tables, timed, strict=True)
    ]


def _with_clients(request: Request, spans_s: Sequence[Spans], period_s: float) -> Request:
    """Count the clients that had work in the sample period before the request."""
    since_s = request.at_s - period_s
    active = sum(
        any(start_s < request.at_s and end_s > since_s for start_s, end_s in spans)
        for spans in spans_s
    )
    stats = msgspec.structs.replace(request.stats, clients=active)
    return msgspec.structs.replace(request, stats=stats)
