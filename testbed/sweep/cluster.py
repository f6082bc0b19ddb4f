"""A sweep on a Dask cluster, whose workers see its folder under the same path."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from testbed import __version__
from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding
from testbed.errors import ConfigurationError, TestbedError
from testbed.sweep.execution import Task, carry_out, outcome, reason_of
from testbed.sweep.ledger import PARTIAL
from testbed.sweep.results import State

_ANSWER_S = 5  # within which a scheduler answers, and has a worker


class Cluster:
    """Carries out runs on the workers of a Dask cluster; use `with`.

    A run whose worker dies is given to another one, at most as often as the cluster's setting
    `distributed.scheduler.allowed-failures` says (3). A worker completes the run that it is at when
    the sweep ends. `address` is the scheduler's, such as tcp://10.0.0.1:8786.

    Raise ConfigurationError if Dask is not installed, no scheduler answers, or it has no workers.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ConfigurationError(
                "--backend dask: Python lacks the package distributed:"
                ' .venv/bin/python -m pip install "distributed>=2024.8"'
            ) from error
        for logger in ("distributed", "distributed.client"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)  # what matters is raised
        self.running = 0  # how many runs are under way, one a worker
        try:
            found = asyncio.run(asyncio.wait_for(_identity(address), _ANSWER_S))
            if found["type"] != "Scheduler":
                raise ConfigurationError(f"is a {found['type'].lower()}")
            self._client = distributed.Client(address, timeout=_ANSWER_S, set_as_default=False)
            self._client.wait_for_workers(1, timeout=_ANSWER_S)
        except Exception as error:  # whatever somebody else's port answers
            raise ConfigurationError(
                f"--scheduler {address}: no Dask scheduler with workers answers ({_said(error)});"
                " start them with `dask scheduler` and `dask worker ADDRESS --nthreads 1`"
            ) from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def reach(self, folder: Path, called_in: Path) -> None:
        """Raise ConfigurationError unless all workers see both folders and run the same testbed."""
        token = folder / PARTIAL / "token"
        word = secrets.token_hex()
        token.write_text(word, encoding="utf-8")
        expected = (__version__, word, True)
        seen = self._client.run(_look, token, called_in, on_error="return")
        token.unlink()
        for worker, found in seen.items():
            if found == expected:
                continue
            if isinstance(found, Exception):
                wrong = (
                    f"cannot run the testbed ({_said(found)}); start workers with this"
                    " checkout's .venv/bin/dask"
                )
            elif found[0] != __version__:
                wrong = f"has testbed {found[0]}, and here it is {__version__}"
            else:
                wrong = (
                    f"does not see {folder if found[2] else called_in} as it is here; a cluster"
                    " needs a shared file system, with the same paths"
                )
            raise ConfigurationError(f"{worker}: {wrong}")

    def examine(self) -> dict[str, list[Finding]]:
        """Return what the doctor finds on each worker's machine."""
        return dict(self._client.run(examination.examine))

    def outcomes(self, tasks: Sequence[Task]) -> Generator[tuple[str, State], None, None]:
        """Carry out all tasks; yield the id of each run that has ended, and what became of it.

        Emulated runs begin when the simulated ones have ended, so that they have their machines for
        themselves. Closing the generator takes back what no worker has begun. Raise TestbedError
        if the scheduler went away.
        """
        for emulated in (False, True):
            yield from self._together([task for task in tasks if task.emulated == emulated])

    def _together(self, tasks: Sequence[Task]) -> Iterator[tuple[str, State]]:
        from distributed import as_completed

        ids = {self._client.submit(carry_out, task, pure=False): task.id for task in tasks}
        try:
            self._count(len(ids))
            for future in as_completed(list(ids), loop=self._client.loop):
                if future.cancelled():
                    raise TestbedError("the Dask scheduler went away; the same command goes on")
                yield ids.pop(future), outcome(future.result)
                self._count(len(ids))
        finally:
            self._client.cancel(list(ids))

    def _count(self, unfinished: int) -> None:
        self.running = min(unfinished, len(self._client.nthreads()))


async def _identity(address: str) -> dict[str, Any]:
    """Return what answers at an address says it is."""
    from distributed import rpc

    async with rpc(address, timeout=_ANSWER_S) as scheduler:
        return dict(await scheduler.identity())


def _look(token: Path, called_in: Path) -> tuple[str, str | None, bool]:
    """Return, at a worker, its version, what the token holds, and whether a folder is there."""
    content = token.read_text(encoding="utf-8") if token.is_file() else None
    return __version__, content, called_in.is_dir()


def _said(error: Exception) -> str:
    return reason_of(error) if str(error) else f"no answer within {_ANSWER_S} s"
