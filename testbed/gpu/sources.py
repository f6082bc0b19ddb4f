"""The sources of statistics by name."""

from __future__ import annotations

import logging
from collections.abc import Callable

from testbed.errors import ConfigurationError, MachineError, unknown_name
from testbed.gpu.accelerator import Accelerator
from testbed.gpu.host import HostSource
from testbed.gpu.nvml import NvmlSource
from testbed.gpu.stats import ServerStats, StatsSource

_log = logging.getLogger(__name__)


class ModelledSource:
    """An emulated accelerator's statistics, at the time that a clock says.

    The accelerator counts the clients with work itself, so what `read` is given is not used.
    """

    def __init__(self, accelerator: Accelerator, now_s: Callable[[], float]) -> None:
        self._accelerator = accelerator
        self._now_s = now_s

    def read(self, clients: int) -> ServerStats:
        """Return the accelerator's statistics now."""
        return self._accelerator.read(self._now_s())

    def close(self) -> None:
        """Nothing is held."""


def find_source(name: str = "auto") -> StatsSource:
    """Return a source that measures this machine.

    Args:
        name: "nvml", the first NVIDIA GPU; "host", the processors; "auto", the GPU where there is
            one, else the processors. Say "host" if PyTorch runs on the processors beside a GPU.

    Raises:
        ConfigurationError: an unknown name.
        MachineError: "nvml" where no GPU can be asked.
    """
    sources: dict[str, Callable[[], StatsSource]] = {
        "auto": _best_source,
        "nvml": NvmlSource,
        "host": HostSource,
    }
    if name not in sources:
        raise ConfigurationError(unknown_name("source of statistics", name, sources))
    return sources[name]()


def _best_source() -> StatsSource:
    try:
        return NvmlSource()
    except MachineError as error:
        _log.info("statistics come from the processors: %s", error)
        return HostSource()
