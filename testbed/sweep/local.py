"""A sweep on this machine: simulated runs in worker processes, then emulated ones by themselves."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

from loky import FIRST_COMPLETED, BrokenProcessPool, Future, cpu_count, wait
from loky.process_executor import ProcessPoolExecutor

from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding
from testbed.namespaces import die_with_parent
from testbed.sweep.execution import Task, carry_out, outcome
from testbed.sweep.results import State

#: Each worker has one thread of arithmetic, in the libraries that it loads later too.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_DIED = State("failed", "its process died, with no other run beside it (out of memory?)")


class Local:
    """Carries out runs on this machine, in so many worker processes (None: one a processor)."""

    def __init__(self, jobs: int | None = None) -> None:
        self.running = 0  # how many runs are under way
        self._jobs = cpu_count() if jobs is None else jobs

    def examine(self) -> dict[str, list[Finding]]:
        """Return what the doctor finds on this machine."""
        return {"this machine": examination.examine()}

    def reach(self, folder: Path, called_in: Path) -> None:
        """All processes of a machine see its folders."""

    def outcomes(self, tasks: Sequence[Task]) -> Generator[tuple[str, State], None, None]:
        """Carry out all tasks; yield the id of each run that has ended, and what became of it.

        A run whose process dies is tried once more, alone. Closing the generator ends what is under
        way.
        """
        ahead = deque(task for task in tasks if not task.emulated)
        suspects: list[Task] = []
        while ahead:
            suspects += yield from self._pooled(ahead, self._jobs)
        for task in suspects:
            if (yield from self._pooled(deque([task]), 1)):
                yield task.id, _DIED
        for task in tasks:
            if task.emulated:
                self.running = 1
                yield task.id, outcome(partial(carry_out, task))
        self.running = 0

    def _pooled(
        self, ahead: deque[Task], jobs: int
    ) -> Generator[tuple[str, State], None, list[Task]]:
        """Carry out tasks in a pool of processes until none is left, or one of these has died.

        Returns the tasks that were under way when it did.
        """
        pool = ProcessPoolExecutor(
            jobs, env=_ONE_THREAD, initializer=_begin, initargs=(os.getpid(),)
        )
        running: dict[Future, Task] = {}
        died: list[Task] = []
        try:
            while running or (ahead and not died):
                while len(running) < jobs and ahead and not died:
                    future = pool.submit(carry_out, ahead[0])
                    running[future] = ahead.popleft()
                self.running = len(running)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        died.append(task)
                    else:
                        yield task.id, outcome(future.result)
        except BrokenProcessPool:  # while the next task was given to it
            died += running.values()
        finally:
            pool.shutdown(kill_workers=True)
        return died


def _begin(parent: int) -> None:
    """Set a worker up: it ends with the sweep alone, and leaves stdout to the sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.dup2(2, 1)
